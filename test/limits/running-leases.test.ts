/** When a replica reports what runs in it, and which number. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { createRunningLeases } from '../../src/limits/running-leases.ts'
import { HEARTBEAT_MS, type SharedStore } from '../../src/state/shared-store.ts'

/** As in running-leases.ts. */
const REPORT_DELAY_MS = 100

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function start() {
  let now = 0
  let works = true
  const written: unknown[] = []
  const usable: (() => void)[] = []
  const store = {
    problem: undefined as string | undefined,
    replica: 'one',
    names: { of: (kind: string, name: string) => `${kind} ${name}`, everyOf: () => [] },
    key: (name: string, what: string) => `${name} ${what}`,
    run: ((_, [key], [, count]) => {
      written.push([key, count])
      return works ? Promise.resolve(1 as never) : Promise.reject(new Error('down'))
    }) satisfies SharedStore['run'],
    onUsable: (listener: () => void) => void usable.push(listener),
  }
  const leases = createRunningLeases(
    { maxKeys: 10 },
    { store, running: () => now, users: () => (now > 0 ? ['ada'] : []) },
  )
  return {
    leases,
    store,
    /** What was written since the last call. */
    written: () => written.splice(0),
    runs: (count: number) => void (now = count),
    fails: () => void (works = false),
    becomesUsable: () => {
      works = true
      for (const listener of usable) listener()
    },
    /** One of those that run ends. */
    end: (isScarce = false) => {
      now -= 1
      leases.ended('requests', 'ada', isScarce)
    },
    /** An admission writes what runs. */
    admit: (count: number) => {
      now = count
      leases.begin('requests', 'ada', count).done(true)
    },
  }
}

const pass = () => vi.advanceTimersByTimeAsync(REPORT_DELAY_MS)
const requests = (count: number) => ['user ada requests', count]

test('what has ended is reported after a time in which no more ran', async () => {
  const { admit, end, written } = start()
  admit(2)
  end()
  end()
  await pass()
  expect(written()).toEqual([])
  await pass()
  expect(written()).toEqual([requests(0)])
  await pass()
  expect(written()).toEqual([])
})

test('a number that goes down and up again stays reported', async () => {
  const { leases, admit, end, runs, written } = start()
  admit(10)
  for (let i = 0; i < 5; i += 1) {
    runs(10)
    for (let ended = 0; ended < 8; ended += 1) end()
    await pass()
    expect(leases.reported('requests', 'ada')).toBe(10)
  }
  expect(written()).toEqual([])
})

test('a number that stays lower is reported as the most that has run meanwhile', async () => {
  const { admit, end, runs, written } = start()
  admit(10)
  for (let ended = 0; ended < 8; ended += 1) end()
  await pass()
  runs(4)
  end()
  await pass()
  expect(written()).toEqual([requests(4)])
})

test('when others may wait for a place, it is reported at once', async () => {
  const { admit, end, written } = start()
  admit(10)
  end(true)
  await vi.advanceTimersByTimeAsync(0)
  expect(written()).toEqual([requests(9)])
})

test('what could not be reported is reported when the store is usable, also that nothing runs', async () => {
  const { leases, admit, end, fails, becomesUsable, written } = start()
  admit(1)
  end()
  await pass()
  fails()
  await pass()
  expect(written()).toEqual([requests(0)])
  expect(leases.reported('requests', 'ada')).toBe(0)
  becomesUsable()
  await vi.advanceTimersByTimeAsync(0)
  expect(written()).toEqual([requests(0)])
})

test('what could not be reported is also reported with what ends next', async () => {
  const { admit, end, runs, fails, written } = start()
  admit(1)
  end()
  await pass()
  fails()
  await pass()
  written()
  runs(1)
  end()
  await pass()
  expect(written()).toEqual([requests(0)])
})

test('what a later script may write is lowered, although an earlier one has written what runs', async () => {
  const { leases, end, runs, written } = start()
  const earlier = leases.begin('requests', 'ada', 0)
  runs(2)
  const later = leases.begin('requests', 'ada', 2)
  end()
  end()
  earlier.done(true)
  await pass()
  later.done(true)
  await pass()
  expect(written()).toEqual([requests(0)])
})

test('what a script writes late is lowered again', async () => {
  const { leases, admit, end, runs, written } = start()
  admit(3)
  runs(5)
  const report = leases.begin('requests', 'ada', 5)
  end()
  end()
  await pass()
  expect(written()).toEqual([])
  report.done(true)
  await pass()
  expect(written()).toEqual([requests(3)])
})

test('what a script may have written before it failed is lowered', async () => {
  const { leases, end, runs, becomesUsable, written } = start()
  const earlier = leases.begin('requests', 'ada', 0)
  runs(1)
  const later = leases.begin('requests', 'ada', 1)
  end()
  earlier.done(true)
  later.failed()
  becomesUsable()
  await vi.advanceTimersByTimeAsync(0)
  expect(written()).toEqual([requests(0)])
})

test('a higher number counts only when it is written by a script that says what runs elsewhere', async () => {
  const { leases, admit, runs, written } = start()
  admit(3)
  runs(5)
  await vi.advanceTimersByTimeAsync(HEARTBEAT_MS)
  expect(written()).toContainEqual(requests(5))
  expect(leases.reported('requests', 'ada')).toBe(3)
  admit(5)
  expect(leases.reported('requests', 'ada')).toBe(5)
})

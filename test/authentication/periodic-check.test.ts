import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { createPeriodicCheck, type PeriodicCheck } from '../../src/authentication/periodic-check.ts'

const MINUTE_MS = 60_000

let probe: () => Promise<void>
let tries: number
let changes: (string | undefined)[]
let check: PeriodicCheck

const works = (): Promise<void> => Promise.resolve()
const fails =
  (message: string, more: object = {}) =>
  (): Promise<void> =>
    Promise.reject(Object.assign(new Error(message), more))

beforeEach(() => {
  vi.useFakeTimers()
  ;[probe, tries, changes] = [works, 0, []]
  check = createPeriodicCheck({
    probe() {
      tries += 1
      return probe()
    },
    onChange: (problem) => void changes.push(problem),
  })
})

afterEach(() => {
  check.close()
  vi.useRealTimers()
})

test('until the first try has ended, nothing is known', async () => {
  let end = (): void => undefined
  probe = () => new Promise((resolve) => (end = resolve))
  await vi.advanceTimersByTimeAsync(0)
  expect([tries, check.wasTried, check.problem]).toEqual([1, false, 'not checked yet'])
  end()
  await vi.advanceTimersByTimeAsync(0)
  expect([check.wasTried, check.problem, changes]).toEqual([true, undefined, []])
})

test('a fault is known a minute later, is reported once, and so is its end', async () => {
  await vi.advanceTimersByTimeAsync(0)
  probe = fails('down')
  await vi.advanceTimersByTimeAsync(MINUTE_MS)
  expect(check.problem).toBe('down')
  await vi.advanceTimersByTimeAsync(3 * MINUTE_MS)
  expect([tries, changes]).toEqual([5, ['down']])
  probe = works
  await vi.advanceTimersByTimeAsync(MINUTE_MS)
  expect([check.problem, changes]).toEqual([undefined, ['down', undefined]])
})

test('what asks for a pause gets it, unless something has changed', async () => {
  probe = fails('rejected', { retryAfter: 30 * MINUTE_MS })
  await vi.advanceTimersByTimeAsync(29 * MINUTE_MS)
  expect([tries, check.problem]).toEqual([1, 'rejected'])
  probe = works
  check.again()
  await vi.advanceTimersByTimeAsync(0)
  expect([tries, check.problem]).toEqual([2, undefined])
})

test('a fault of a part is a problem that it works in spite of', async () => {
  probe = fails('one of two is down', { isPartial: true })
  await vi.advanceTimersByTimeAsync(0)
  expect([check.isPartial, check.problem]).toEqual([true, 'one of two is down'])
  probe = fails('both are down')
  await vi.advanceTimersByTimeAsync(MINUTE_MS)
  expect([check.isPartial, check.problem]).toEqual([false, 'both are down'])
  probe = works
  await vi.advanceTimersByTimeAsync(MINUTE_MS)
  expect([check.isPartial, check.problem]).toEqual([false, undefined])
})

test('a change during a try is followed by another one at once', async () => {
  let end = (): void => undefined
  probe = () => new Promise((resolve) => (end = resolve))
  await vi.advanceTimersByTimeAsync(0)
  check.again()
  probe = fails('changed')
  await vi.advanceTimersByTimeAsync(0)
  expect(tries).toBe(1)
  end()
  await vi.advanceTimersByTimeAsync(0)
  expect([tries, check.problem]).toEqual([2, 'changed'])
})

test('nothing is tried or reported after the end', async () => {
  let end = (): void => undefined
  probe = () => new Promise((_resolve, reject) => (end = () => reject(new Error('late'))))
  await vi.advanceTimersByTimeAsync(0)
  check.close()
  end()
  check.again()
  await vi.advanceTimersByTimeAsync(10 * MINUTE_MS)
  expect([tries, changes]).toEqual([1, []])
})

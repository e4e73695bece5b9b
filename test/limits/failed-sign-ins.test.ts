import { beforeEach, describe, expect, test } from 'vitest'

import {
  createFailedSignIns,
  type FailedSignInsOptions,
  type LocalFailedSignIns,
} from '../../src/limits/failed-sign-ins.ts'

const OPTIONS: FailedSignInsOptions = {
  ...{ perUser: 3, perAddress: 6, banAfter: 10, window: 60_000 },
  ...{ maxDelay: 350, ban: 1_000, maxBan: 4_000, maxTrackedKeys: 100 },
}

let time: number
let failures: LocalFailedSignIns

function create(options: Partial<FailedSignInsOptions> = {}): void {
  failures = createFailedSignIns({ ...OPTIONS, ...options }, { now: () => time })
}

beforeEach(() => {
  time = 0
  create()
})

const A = '192.0.2.1'
const B = '192.0.2.2'

function delays(count: number, user: string | undefined, address = A): number[] {
  return Array.from({ length: count }, () => failures.add(address, user).delay)
}

/** Fails until the address is banned; returns for how long. */
function ban(address = A): number {
  for (let i = 0; i < 1_000; i++) {
    const { bannedFor } = failures.add(address, 'ada')
    if (bannedFor > 0) return bannedFor
  }
  return 0
}

test('refusals of one claimed user come later and later, up to the longest delay', () => {
  expect(delays(7, 'ada')).toEqual([0, 0, 0, 100, 200, 350, 350])
})

test('refusals of an address with changing names come later after more failures', () => {
  const changing = Array.from({ length: 8 }, (_, i) => failures.add(A, `user-${i}`).delay)
  expect(changing).toEqual([0, 0, 0, 0, 0, 0, 100, 200])
  create()
  expect(delays(8, undefined)).toEqual([0, 0, 0, 0, 0, 0, 100, 200])
})

test('a claimed user has no delay at another address, whatever others do in that name', () => {
  delays(9, 'ada')
  expect(delays(3, 'ada', B)).toEqual([0, 0, 0])
})

test('another user of the same address is not delayed for the failures of one', () => {
  delays(5, 'ada')
  expect(failures.add(A, 'grace').delay).toBe(0)
})

test('failures are forgotten after the window', () => {
  delays(4, 'ada')
  time = 60_000
  expect(failures.add(A, 'ada').delay).toBe(0)
})

describe('a ban', () => {
  test('begins with the last failure that is allowed, which alone reports it', () => {
    const verdicts = Array.from({ length: 12 }, () => failures.add(A, 'ada'))
    expect(verdicts.map(({ bannedAfter }) => bannedAfter)).toEqual([
      ...Array<undefined>(9).fill(undefined),
      10,
      ...[undefined, undefined],
    ])
    expect(verdicts.map(({ bannedFor }) => bannedFor > 0)).toEqual([
      ...Array<boolean>(9).fill(false),
      ...[true, true, true],
    ])
  })

  test('ends by itself, whatever is sent meanwhile', () => {
    expect(ban()).toBe(1_000)
    for (time = 0; time < 1_000; time += 100) {
      expect(failures.add(A, 'ada').bannedFor).toBe(1_000 - time)
    }
    expect(failures.add(A, 'ada')).toMatchObject({ delay: 0, bannedFor: 0 })
  })

  test('is twice as long each time, up to the longest, and short again after that', () => {
    const lengths = Array.from({ length: 4 }, () => {
      const length = ban()
      time += length
      return length
    })
    expect(lengths).toEqual([1_000, 2_000, 4_000, 4_000])
    time += 4_000
    expect(ban()).toBe(1_000)
  })

  test('is of one address', () => {
    ban()
    expect(failures.add(B, 'ada')).toMatchObject({ delay: 0, bannedFor: 0 })
  })
})

test('an address cannot make Gatehouse remember more names, and those beyond count as its own', () => {
  create({ perAddress: 1_000, banAfter: 2_000 })
  for (let i = 0; i < 500; i++) failures.add(A, `user-${i}`)
  expect(delays(5, 'user-500')).toEqual([0, 0, 0, 0, 0])
  expect(delays(4, 'user-0')).toEqual([0, 0, 100, 200])
})

test('a limited number of addresses is remembered, those that were seen last', () => {
  create({ maxTrackedKeys: 2 })
  delays(9, 'ada', 'a')
  delays(9, 'ada', 'b')
  delays(1, 'ada', 'c')
  expect(failures.add('b', 'ada').bannedFor).toBeGreaterThan(0)
  expect(failures.add('a', 'ada').bannedFor).toBe(0)
})

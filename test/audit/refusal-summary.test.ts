import { describe, expect, test } from 'vitest'

import { createRefusalSummary, type SuppressedRefusals } from '../../src/audit/refusal-summary.ts'

const WINDOW = 60_000

function setup(options: { fullEvents?: number; maxAddresses?: number } = {}) {
  const clock = { now: 1_000 }
  const written: SuppressedRefusals[] = []
  const sink = { takes: true }
  const summary = createRefusalSummary(
    { window: WINDOW, fullEvents: 2, maxAddresses: 3, ...options },
    {
      write(refusals) {
        if (sink.takes) written.push(refusals)
        return sink.takes
      },
      now: () => clock.now,
    },
  )
  const add = (address: string, count = 1, code = 429): boolean[] =>
    Array.from({ length: count }, () => summary.add(`key of ${address}`, address, code))
  return { summary, add, clock, written, sink }
}

describe('within a window', () => {
  test('only the first refusals of an address have events of their own', () => {
    const { add, written } = setup()
    expect(add('a', 4)).toEqual([true, true, false, false])
    expect(add('b', 3)).toEqual([true, true, false])
    expect(written).toEqual([])
  })

  test('the others are reported at its end by address, with their codes, the most frequent first', () => {
    const { add, clock, summary, written } = setup()
    add('a', 3, 400)
    clock.now += 5
    add('b', 2)
    add('b', 1)
    add('a', 1_200)
    summary.end()
    expect(written).toEqual([
      { address: 'a', since: 1_000, count: 1_201, codes: '1200 with 429, 1 with 400' },
      { address: 'b', since: 1_005, count: 1, codes: '1 with 429' },
    ])
  })

  test('nothing is reported for an address whose refusals all had events', () => {
    const { add, summary, written } = setup()
    add('a', 2)
    summary.end()
    expect(written).toEqual([])
  })

  test('addresses beyond the limit are reported together', () => {
    const { add, summary, written } = setup({ maxAddresses: 1 })
    add('a', 3)
    expect(add('b', 2)).toEqual([false, false])
    expect(add('c', 1, 400)).toEqual([false])
    summary.end()
    expect(written).toEqual([
      { address: 'a', since: 1_000, count: 1, codes: '1 with 429' },
      { address: undefined, since: 1_000, count: 3, codes: '2 with 429, 1 with 400' },
    ])
  })
})

describe('the next window', () => {
  test('begins with the first refusal after the end of the last one, and reports the last one', () => {
    const { add, clock, written } = setup()
    add('a', 3)
    clock.now += WINDOW - 1
    expect(add('a')).toEqual([false])
    clock.now += 1
    expect(add('a', 3)).toEqual([true, true, false])
    expect(written).toEqual([{ address: 'a', since: 1_000, count: 2, codes: '2 with 429' }])
  })

  test('begins again after an explicit end', () => {
    const { add, clock, summary, written } = setup()
    add('a', 3)
    summary.end()
    clock.now += WINDOW - 1
    add('a', 3)
    expect(written).toHaveLength(1)
    summary.end()
    expect(written.map(({ since }) => since)).toEqual([1_000, 1_000 + WINDOW - 1])
  })

  test('reports again what could not be written, and nothing twice', () => {
    const { add, summary, sink, written } = setup({ maxAddresses: 1 })
    sink.takes = false
    add('a', 3)
    add('b', 1)
    summary.end()
    expect(add('a')).toEqual([false])
    sink.takes = true
    summary.end()
    summary.end()
    expect(written).toEqual([
      { address: 'a', since: 1_000, count: 2, codes: '2 with 429' },
      { address: undefined, since: 1_000, count: 1, codes: '1 with 429' },
    ])
  })
})

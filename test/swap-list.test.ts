import fc from 'fast-check'
import { expect, test } from 'vitest'

import { createSwapList, type SwapListEntry } from '../src/swap-list.ts'

const valuesOf = (entries: readonly SwapListEntry<number>[]): number[] =>
  entries.map(({ value }) => value).toSorted((a, b) => a - b)

test('the list holds exactly the entries that were added and not removed', () => {
  const step = fc.oneof(fc.constant('add' as const), fc.nat({ max: 50 }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const list = createSwapList<number>()
      const added: SwapListEntry<number>[] = []
      const expected = new Set<number>()
      for (const what of steps) {
        if (what === 'add') {
          expected.add(added.length)
          added.push(list.add(added.length))
          continue
        }
        const entry = added[what % Math.max(1, added.length)]
        if (entry === undefined) continue
        expected.delete(entry.value)
        list.remove(entry)
      }
      expect(list.size).toBe(expected.size)
      expect(valuesOf(list.snapshot())).toEqual([...expected])
      for (const { value, isRemoved } of added) expect(isRemoved).toBe(!expected.has(value))
    }),
  )
})

test('an entry that is removed twice is removed once', () => {
  const list = createSwapList<number>()
  const [first] = [list.add(1), list.add(2)]
  list.remove(first)
  list.remove(first)
  expect(valuesOf(list.snapshot())).toEqual([2])
})

test('a value that is added twice has two entries', () => {
  const list = createSwapList<number>()
  const [first] = [list.add(1), list.add(1)]
  list.remove(first)
  expect(valuesOf(list.snapshot())).toEqual([1])
})

test('a snapshot stays complete while its entries are removed', () => {
  const list = createSwapList<number>()
  for (const value of [1, 2, 3, 4]) list.add(value)
  const seen: number[] = []
  for (const entry of list.snapshot()) {
    seen.push(entry.value)
    list.remove(entry)
  }
  expect(seen.toSorted()).toEqual([1, 2, 3, 4])
  expect(list.size).toBe(0)
})

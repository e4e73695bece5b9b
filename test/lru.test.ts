import { expect, test } from 'vitest'

import { createLru } from '../src/lru.ts'

test('entries count what they are said to', () => {
  const cache = createLru<{ n: number }>(10, ({ n }) => n)
  for (const n of [4, 5, 6]) cache.set(`key-${n}`, { n })
  expect([...cache.keys()]).toEqual(['key-6'])
})

test('the least recently used entry makes room, and no more are ever held than were allowed', () => {
  const cache = createLru<{ n: number }>(3)
  for (const n of [1, 2, 3]) cache.set(`key-${n}`, { n })
  cache.get('key-1')
  cache.set('key-4', { n: 4 })
  expect([...cache.keys()].sort()).toEqual(['key-1', 'key-3', 'key-4'])
  for (let n = 0; n < 1_000; n++) cache.set(`key-${n}`, { n })
  expect(cache.size).toBe(3)
  cache.delete('key-999')
  cache.set('key-a', { n: 0 })
  cache.set('key-b', { n: 0 })
  expect([...cache.keys()].sort()).toEqual(['key-998', 'key-a', 'key-b'])
})

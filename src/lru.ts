import { LRUCache } from 'lru-cache'

/**
 * A cache of at most `maxSize`, which evicts the least recently used entry. Not by the library's
 * option `max`: it allocates all entries at once, which slows the start down.
 *
 * @param sizeOf what an entry counts, a whole number from 1; each counts 1 by default
 */
export function createLru<V extends object>(
  maxSize: number,
  sizeOf: (value: V) => number = () => 1,
): LRUCache<string, V> {
  return new LRUCache<string, V>({ maxSize, sizeCalculation: sizeOf })
}

import { LRUCache } from 'lru-cache'

/**
 * A cache of at most `maxEntries`, which evicts the least recently used entry. Not by the library's
 * option `max`: it allocates all entries at once, which slows the start down.
 */
export function createLru<V extends object>(maxEntries: number): LRUCache<string, V> {
  return new LRUCache<string, V>({ maxSize: maxEntries, sizeCalculation: () => 1 })
}

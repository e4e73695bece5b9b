import { LRUCache } from 'lru-cache'

/**
 * The library's cache of at most `maxEntries`, in which the least recently used one makes room. By
 * its `max` it would take all places at once, which several of them make a good part of the start.
 */
export function createLru<V extends object>(maxEntries: number): LRUCache<string, V> {
  return new LRUCache<string, V>({ maxSize: maxEntries, sizeCalculation: () => 1 })
}

/**
 * A list of what is live, for objects that come and go with every request. Removal is O(1): the last
 * entry takes the removed one's place, so the order is not kept.
 *
 * A `Set` or `Map` with this much insertion and deletion costs a quarter of all CPU: each hash table
 * that V8 outgrows points to its successor, so one dead table in the old generation keeps all later
 * ones, with every request they held, out of the scavenger's reach.
 */
export interface SwapList<T> {
  /** Adds a value; the same value added twice has two entries. */
  add(value: T): SwapListEntry<T>
  /** Does nothing when the entry was removed already. */
  remove(entry: SwapListEntry<T>): void
  readonly size: number
  /** A copy of the entries, in no order; entries may be added and removed while it is iterated. */
  snapshot(): readonly SwapListEntry<T>[]
}

export interface SwapListEntry<T> {
  readonly value: T
  readonly isRemoved: boolean
}

/** Creates an empty list. */
export function createSwapList<T>(): SwapList<T> {
  const entries: Entry<T>[] = []
  return {
    add(value) {
      const entry = new Entry(value, entries.length)
      entries.push(entry)
      return entry
    },
    remove(entry) {
      if (!(entry instanceof Entry) || entry.isRemoved) return
      const { index } = entry
      entry.index = REMOVED
      const last = entries.pop()
      if (last === undefined || last === entry) return
      entries[index] = last
      last.index = index
    },
    get size() {
      return entries.length
    },
    snapshot: () => entries.slice(),
  }
}

const REMOVED = -1

class Entry<T> implements SwapListEntry<T> {
  readonly value: T
  index: number

  constructor(value: T, index: number) {
    this.value = value
    this.index = index
  }

  get isRemoved(): boolean {
    return this.index === REMOVED
  }
}

/** Counts running requests or streams by key. A key without any does not take memory. */
export interface InFlight {
  /** False when the key already has `max` running; then nothing is counted. */
  enter(key: string): boolean
  leave(key: string): void
  /** How many run. */
  count(key: string): number
  /** Those of which something runs. */
  keys(): Iterable<string>
}

/** @param max for each key */
export function createInFlight(max: number): InFlight {
  const running = new Map<string, number>()
  return {
    enter(key) {
      const count = running.get(key) ?? 0
      if (count >= max) return false
      running.set(key, count + 1)
      return true
    },
    count: (key) => running.get(key) ?? 0,
    keys: () => running.keys(),
    leave(key) {
      const count = running.get(key) ?? 0
      if (count <= 1) running.delete(key)
      else running.set(key, count - 1)
    },
  }
}

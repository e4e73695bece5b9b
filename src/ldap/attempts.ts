import { createLru } from '../lru.ts'

export interface AttemptsOptions {
  /** Failed attempts of one key in any period of `window` milliseconds. */
  readonly max: number
  readonly window: number
  readonly maxKeys: number
}

export interface Attempts {
  /**
   * Counts an attempt, before its result is known: several at once must not count as one.
   *
   * @param now milliseconds of a monotonic clock
   * @returns what takes it back, once it has succeeded; undefined when there are too many
   */
  begin(key: string, now: number): (() => void) | undefined
}

/**
 * Creates the counter. It never allows more than `max` in any window, as a directory counts for its own
 * lock-out; a token bucket would allow nearly twice as many.
 */
export function createAttempts({ max, window, maxKeys }: AttemptsOptions): Attempts {
  const times = createLru<number[]>(maxKeys)
  return {
    begin(key, now) {
      const recent = (times.get(key) ?? []).filter((time) => now - time < window)
      if (recent.length >= max) return undefined
      recent.push(now)
      times.set(key, recent)
      let isCounted = true
      return () => {
        if (!isCounted) return
        isCounted = false
        const current = times.get(key)
        const index = current?.indexOf(now) ?? -1
        if (index >= 0) current?.splice(index, 1)
      }
    },
  }
}

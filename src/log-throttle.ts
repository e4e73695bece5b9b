/**
 * Bounds the lines of log that others can cause: of each kind so many are told in an interval, and
 * with the first in a later one, how many were not. Undefined: not this one; else how many of its
 * kind were not told since the last that was.
 */
export type LogThrottle = (kind: string) => number | undefined

export interface LogThrottleOptions {
  /** Milliseconds. */
  readonly interval: number
  /** Lines of a kind in an interval. */
  readonly lines: number
  /** Milliseconds of a clock that only goes forward. */
  readonly now?: (() => number) | undefined
}

/** Makes the bound; nothing has been told yet. */
export function createLogThrottle(options: LogThrottleOptions): LogThrottle {
  const { interval, lines, now = () => performance.now() } = options
  // As many as there are kinds, which are the code's own.
  const kinds = new Map<string, { since: number; told: number; suppressed: number }>()
  return (kind) => {
    const at = now()
    const known = kinds.get(kind)
    if (known === undefined || at - known.since >= interval) {
      kinds.set(kind, { since: at, told: 1, suppressed: 0 })
      return known?.suppressed ?? 0
    }
    if (known.told < lines) {
      known.told += 1
      return 0
    }
    known.suppressed += 1
    return undefined
  }
}

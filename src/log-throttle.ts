import type { Log } from './log.ts'

/**
 * Limits the log lines that clients or the API server can cause: a number of lines of each kind per
 * interval. The result is undefined when the line is suppressed; else it is the number of lines of its
 * kind that were suppressed in the previous interval, to be logged with the first line of a new one.
 */
export type LogThrottle = (kind: string) => number | undefined

export interface LogThrottleOptions {
  /** Milliseconds. */
  readonly interval: number
  /** Lines of one kind per interval. */
  readonly lines: number
}

export interface LogThrottleEffects {
  /** Monotonic milliseconds; `performance.now()` by default. */
  readonly now?: (() => number) | undefined
}

/** Kinds are never removed, so they must not come from input. */
export function createLogThrottle(
  { interval, lines }: LogThrottleOptions,
  { now = () => performance.now() }: LogThrottleEffects = {},
): LogThrottle {
  const kinds = new Map<string, { since: number; logged: number; suppressed: number }>()
  return (kind) => {
    const at = now()
    const known = kinds.get(kind)
    if (known === undefined || at - known.since >= interval) {
      kinds.set(kind, { since: at, logged: 1, suppressed: 0 })
      return known?.suppressed ?? 0
    }
    if (known.logged < lines) {
      known.logged += 1
      return 0
    }
    known.suppressed += 1
    return undefined
  }
}

/** Lines of one message per second: enough to see a problem. */
const LINES = 20
const INTERVAL_MS = 1_000

type Fields = Readonly<Record<string, unknown>>

/** Logs what clients can cause. Messages must be constants: each is a kind of its own. */
export interface ThrottledLog {
  warn(fields: Fields, message: string): void
  error(fields: Fields, message: string): void
}

const throttledLogs = new WeakMap<Log, ThrottledLog>()

/** A log of at most 20 lines of each message per second. Its parts share the limits. */
export function throttledLog(log: Log): ThrottledLog {
  let throttled = throttledLogs.get(log)
  if (throttled === undefined) {
    const throttle = createLogThrottle({ interval: INTERVAL_MS, lines: LINES })
    const write = (level: 'warn' | 'error', fields: Fields, message: string): void => {
      const suppressed = throttle(message)
      if (suppressed === undefined) return
      log[level]({ ...fields, ...(suppressed > 0 ? { suppressed } : {}) }, message)
    }
    throttled = {
      warn: (fields, message) => write('warn', fields, message),
      error: (fields, message) => write('error', fields, message),
    }
    throttledLogs.set(log, throttled)
  }
  return throttled
}

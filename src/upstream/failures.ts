/** Counts and logs upstream failures, wherever they are detected. */
import { createLogThrottle } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { isOfClient, toUpstreamError, UpstreamError, type UpstreamErrorKind } from './errors.ts'

export interface UpstreamFailures {
  /** A request without a response from the API server; does nothing for a refusal of Gatehouse's own, and for a client's fault. */
  failed: (error: unknown) => void
  /** A response that ended early, after its head was sent to the client. */
  truncated: (error: Error) => void
}

/** While the API server is down, every request fails; a log line for each would flood the log. */
const LOG_LIMIT = { interval: 1_000, lines: 20 }

export interface UpstreamFailureEffects {
  readonly log: Log
  readonly metrics: Metrics
  /** Monotonic clock, in milliseconds. */
  readonly now?: () => number
}

/** Every failure is counted; at most 20 of each message and kind are logged per second. */
export function createUpstreamFailures(effects: UpstreamFailureEffects): UpstreamFailures {
  const { log, metrics, now } = effects
  const throttle = createLogThrottle(LOG_LIMIT, { now })

  function record(reason: UpstreamErrorKind, err: unknown, message: string): void {
    metrics.upstreamErrors.inc({ reason })
    const suppressed = throttle(`${message}: ${reason}`)
    if (suppressed !== undefined)
      log.warn({ err, reason, ...(suppressed > 0 ? { suppressed } : {}) }, message)
  }

  return {
    failed(error) {
      if (isOfClient(error)) return
      const cause = error instanceof UpstreamError ? (error.cause ?? error) : error
      record(toUpstreamError(error).kind, cause, 'request to the API server failed')
    },
    truncated(error) {
      if (isOfClient(error)) return
      record(toUpstreamError(error).kind, error, 'the API server ended a response early')
    },
  }
}

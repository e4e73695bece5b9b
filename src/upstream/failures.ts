/** What the API server, or the way to it, failed at is counted and told, whoever noticed it. */
import { createLogThrottle } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { StatusError } from '../status.ts'
import {
  mapUpstreamError,
  OWN_CREDENTIAL_REFUSED,
  QUEUE_FULL,
  type UpstreamFailure,
} from './errors.ts'

export interface UpstreamFailures {
  /** A request had no answer of the API server's. Nothing happens when that is not its fault. */
  unanswered: (error: unknown) => void
  /** An answer whose head the client has already was broken off. */
  brokenOff: (error: Error) => void
}

/** When the API server is down, each request of each user fails; all of them would be told. */
const TOLD = { interval: 1_000, lines: 20 }

export interface UpstreamFailureEffects {
  readonly log: Log
  readonly metrics: Metrics
  /** Milliseconds of a clock that only goes forward. */
  readonly now?: () => number
}

/** Makes what counts and tells: every failure is in the metric, and twenty of a kind a second in the log. */
export function createUpstreamFailures(effects: UpstreamFailureEffects): UpstreamFailures {
  const { log, metrics, now } = effects
  const tells = createLogThrottle({ ...TOLD, now })

  function failed(reason: UpstreamFailure, err: unknown, message: string): void {
    metrics.upstreamErrors.inc({ reason })
    const suppressed = tells(`${message}: ${reason}`)
    if (suppressed !== undefined)
      log.warn({ err, reason, ...(suppressed > 0 ? { suppressed } : {}) }, message)
  }

  return {
    unanswered(error) {
      const kind = faultOf(error)
      if (kind === undefined) return
      const cause = error instanceof StatusError ? (error.cause ?? error) : error
      failed(kind, cause, 'the API server did not answer')
    },
    brokenOff(error) {
      failed(mapUpstreamError(error).kind, error, 'the API server broke an answer off')
    },
  }
}

/** Gatehouse's own codes, which stand in the cause of a refusal that has its words already. */
const OWN_KINDS: ReadonlyMap<unknown, UpstreamFailure> = new Map([
  [QUEUE_FULL, 'queue'],
  [OWN_CREDENTIAL_REFUSED, 'credential'],
])

/** Undefined for a refusal that is the client's doing, a rule's or the shutdown's. */
function faultOf(error: unknown): UpstreamFailure | undefined {
  if (!(error instanceof StatusError)) return mapUpstreamError(error).kind
  // A sign-in that was withdrawn before the answer came tells its cause, too.
  if (error.reason === 'Unauthorized') return undefined
  const { cause } = error
  if (cause !== undefined) {
    return OWN_KINDS.get((cause as { code?: unknown }).code) ?? mapUpstreamError(cause).kind
  }
  // An answer that is not passed on: a redirect elsewhere, a status that makes no sense.
  return error.reason === 'BadGateway' ? 'protocol' : undefined
}

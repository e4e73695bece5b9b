/** Refusals by a limit: 429, with what client-go and other clients read to wait and try again. */
import type { RequestClass } from '../request/types.ts'
import { StatusError } from '../status.ts'
import { rateLimitHeaders } from './headers.ts'
import type { RateLimitState } from './limiter.ts'

/** Retry-After for concurrency limits: a guess, since nothing tells when a slot frees up. */
const CONCURRENCY_RETRY_SECONDS = 1

const DESCRIPTIONS: Readonly<Record<RequestClass, string>> = {
  read: 'read requests',
  write: 'write requests',
  list: 'list requests',
  stream: 'new streams (watch, logs, exec, attach, port-forward, proxy)',
}

/** A limit that refuses, and the value of its label in `gatehouse_limited_total`. */
export interface LimitRefusal {
  readonly limit: string
  readonly error: StatusError
}

/** @param waitMs milliseconds until there is a token again */
export function addressRefusal(waitMs: number, state: RateLimitState): LimitRefusal {
  const error = tooMany('too many requests from this address', secondsOf(waitMs), state, true)
  return { limit: 'address', error }
}

/** As above, of `/.well-known/gatehouse` and `/gatehouse/`. */
export function signInRefusal(waitMs: number, state: RateLimitState): LimitRefusal {
  const message = 'too many sign-in requests from this address'
  return { limit: 'sign_in', error: tooMany(message, secondsOf(waitMs), state, false) }
}

/** As above, of all users of a group together. */
export function groupRefusal(group: string, waitMs: number, state: RateLimitState): LimitRefusal {
  const message = `too many requests by users of the group ${JSON.stringify(group)}`
  return { limit: 'group', error: tooMany(message, secondsOf(waitMs), state, false) }
}

/** @param waitMs milliseconds until there is a token again */
export function rateRefusal(
  requestClass: RequestClass,
  waitMs: number,
  state: RateLimitState,
): LimitRefusal {
  const message = `too many ${DESCRIPTIONS[requestClass]} by this user`
  return { limit: requestClass, error: tooMany(message, secondsOf(waitMs), state, false) }
}

/** @param max how many may run */
export function concurrencyRefusal(what: 'requests' | 'streams', max: number): LimitRefusal {
  const message = `too many concurrent ${what} by this user (limit: ${max})`
  const error = tooMany(message, CONCURRENCY_RETRY_SECONDS, undefined, false)
  return { limit: `concurrent_${what}`, error }
}

function secondsOf(waitMs: number): number {
  return Math.max(1, Math.ceil(waitMs / 1_000))
}

/**
 * client-go waits for the time of an integer `Retry-After` and retries, up to ten times. A refusal
 * by address also closes the connection, so that the client's next one counts against the
 * connection limits.
 */
function tooMany(
  message: string,
  seconds: number,
  state: RateLimitState | undefined,
  closeConnection: boolean,
): StatusError {
  const headers: Record<string, string> = { 'Retry-After': String(seconds) }
  const fields = state === undefined ? [] : rateLimitHeaders(state)
  for (let i = 0; i < fields.length; i += 2) headers[fields[i] ?? ''] = fields[i + 1] ?? ''
  return new StatusError('TooManyRequests', `${message}, retry after ${seconds}s`, {
    details: { retryAfterSeconds: seconds },
    headers,
    closeConnection,
  })
}

/** The limiter of one replica: token buckets and counts of running requests, in memory. */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { Metrics } from '../metrics.ts'
import type { RequestClass } from '../request/types.ts'
import { StatusError } from '../status.ts'
import { addressKey } from './address-key.ts'
import { rateLimitHeaders } from './headers.ts'
import { createInFlight, type InFlight } from './in-flight.ts'
import type { Limiter, RateLimitState, Slot } from './limiter.ts'
import { createTokenBuckets, type BucketSize, type Taken } from './token-bucket.ts'

export interface MemoryLimiterOptions {
  readonly address: BucketSize
  readonly user: Readonly<Record<RequestClass, BucketSize>>
  readonly concurrent: { readonly requests: number; readonly streams: number }
  /** Most addresses, and most users of each class, that are tracked. */
  readonly maxTrackedKeys: number
}

export interface MemoryLimiterEffects {
  readonly metrics: Metrics
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** `Limiter` without promises. */
export interface MemoryLimiter extends Limiter {
  admitAddress(address: string): void
  admitUser(user: UserInfo, requestClass: RequestClass): Slot
}

/** Retry-After for concurrency limits: a guess, since nothing tells when a slot frees up. */
const CONCURRENCY_RETRY_SECONDS = 1

const DESCRIPTIONS: Readonly<Record<RequestClass, string>> = {
  read: 'read requests',
  write: 'write requests',
  list: 'list requests',
  stream: 'new streams (watch, logs, exec, attach, port-forward, proxy)',
}

/** Creates the limiter; every key begins with a full bucket. */
export function createMemoryLimiter(
  options: MemoryLimiterOptions,
  { metrics, now = () => performance.now() }: MemoryLimiterEffects,
): MemoryLimiter {
  const { user, concurrent, maxTrackedKeys } = options
  const addresses = createTokenBuckets(options.address, maxTrackedKeys)
  const users = {
    read: createTokenBuckets(user.read, maxTrackedKeys),
    write: createTokenBuckets(user.write, maxTrackedKeys),
    list: createTokenBuckets(user.list, maxTrackedKeys),
    stream: createTokenBuckets(user.stream, maxTrackedKeys),
  }
  const requests = createInFlight(concurrent.requests)
  const streams = createInFlight(concurrent.streams)

  const refuse = (
    limit: string,
    message: string,
    seconds: number,
    state?: RateLimitState,
  ): never => {
    metrics.limited.inc({ limit })
    throw tooMany(message, seconds, state, limit === 'address')
  }

  return {
    admitAddress(address) {
      const taken = addresses.take(addressKey(address), now())
      if (taken.allowed) return
      refuse('address', 'too many requests from this address', retrySeconds(taken), taken.state)
    },

    admitUser({ username }, requestClass) {
      const taken = users[requestClass].take(username, now())
      if (!taken.allowed) {
        const message = `too many ${DESCRIPTIONS[requestClass]} by this user`
        refuse(requestClass, message, retrySeconds(taken), taken.state)
      }
      const isStream = requestClass === 'stream'
      const running = isStream ? streams : requests
      if (!running.enter(username)) {
        const [limit, what, max] = isStream
          ? ['concurrent_streams', 'streams', concurrent.streams]
          : ['concurrent_requests', 'requests', concurrent.requests]
        const message = `too many concurrent ${what} by this user (limit: ${max})`
        refuse(limit, message, CONCURRENCY_RETRY_SECONDS)
      }
      return new HeldSlot(running, username, taken.state)
    },
  }
}

class HeldSlot implements Slot {
  readonly state: RateLimitState
  readonly #key: string
  #running: InFlight | undefined

  constructor(running: InFlight, key: string, state: RateLimitState) {
    this.#running = running
    this.#key = key
    this.state = state
  }

  release(): void {
    this.#running?.leave(this.#key)
    this.#running = undefined
  }
}

function retrySeconds({ waitMs }: Taken): number {
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

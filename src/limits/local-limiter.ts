/** What one replica decides by itself: by buckets that it is given, and by counts of running requests. */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { Metrics } from '../metrics.ts'
import type { RequestClass } from '../request/types.ts'
import { addressKey } from './address-key.ts'
import type { GroupBudgets } from './group-budgets.ts'
import { createInFlight, type InFlight } from './in-flight.ts'
import type { Limiter, RateLimitState, Slot } from './limiter.ts'
import {
  addressRefusal,
  concurrencyRefusal,
  groupRefusal,
  rateRefusal,
  signInRefusal,
  type LimitRefusal,
} from './refusals.ts'
import type { TokenBuckets } from './token-bucket.ts'

/** What a limit counts, of one user. */
export type Running = 'requests' | 'streams'

type Buckets = Pick<TokenBuckets, 'take'>

export interface LocalLimiterOptions {
  readonly concurrent: Readonly<Record<Running, number>>
}

export interface LocalLimiterEffects {
  readonly metrics: Pick<Metrics, 'limited'>
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  readonly addresses: Buckets
  readonly signIns: Buckets
  readonly users: Readonly<Record<RequestClass, Buckets>>
  readonly groups: GroupBudgets
}

/** `Limiter` without promises. */
export interface LocalLimiter extends Limiter {
  admitAddress(address: string): void
  admitUser(user: UserInfo, requestClass: RequestClass): Slot
  /** How many requests or streams of a user run in this replica. */
  running(what: Running, username: string): number
}

export function runningOf(requestClass: RequestClass): Running {
  return requestClass === 'stream' ? 'streams' : 'requests'
}

/** Creates the limiter; nothing runs yet. */
export function createLocalLimiter(
  { concurrent }: LocalLimiterOptions,
  { metrics, now, addresses, signIns, users, groups }: LocalLimiterEffects,
): LocalLimiter {
  const inFlight = {
    requests: createInFlight(concurrent.requests),
    streams: createInFlight(concurrent.streams),
  }

  const refuse = ({ limit, error }: LimitRefusal): never => {
    metrics.limited.inc({ limit })
    throw error
  }

  return {
    admitAddress(address) {
      const taken = addresses.take(addressKey(address), now())
      if (!taken.allowed) refuse(addressRefusal(taken.waitMs, taken.state))
    },

    admitSignIn(address) {
      const taken = signIns.take(addressKey(address), now())
      if (!taken.allowed) refuse(signInRefusal(taken.waitMs, taken.state))
    },

    admitUser(user, requestClass) {
      const at = now()
      const overGroup = groups.take(user, at)
      if (overGroup !== undefined) {
        const { group, taken } = overGroup
        refuse(groupRefusal(group, taken.waitMs, taken.state))
      }
      const { username } = user
      const taken = users[requestClass].take(username, at)
      if (!taken.allowed) {
        groups.refund(user, at)
        refuse(rateRefusal(requestClass, taken.waitMs, taken.state))
      }
      const what = runningOf(requestClass)
      const running = inFlight[what]
      if (!running.enter(username)) {
        groups.refund(user, at)
        refuse(concurrencyRefusal(what, concurrent[what]))
      }
      return new HeldSlot(running, username, taken.state)
    },

    running: (what, username) => inFlight[what].count(username),
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

/** What one replica decides by itself: by buckets that it is given, and by counts of running requests. */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { Metrics } from '../metrics.ts'
import type { RequestClass } from '../request/types.ts'
import { addressKey } from './address-key.ts'
import type { GroupBudgets, RefusedByGroup } from './group-budgets.ts'
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
import type { Taken, TokenBuckets } from './token-bucket.ts'

/** What a limit counts, of one user. */
export type Running = 'requests' | 'streams'

/** Buckets in memory, or buckets that may have to be asked for elsewhere. */
interface Buckets {
  take(key: string, now: number): Taken | Promise<Taken>
}

export interface LocalLimiterOptions {
  readonly concurrent: Readonly<Record<Running, number>>
}

export interface LocalLimiterEffects {
  readonly metrics: Pick<Metrics, 'limited'>
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  readonly addresses: Buckets
  readonly signIns: Buckets
  readonly users: Readonly<Record<RequestClass, Pick<TokenBuckets, 'take'>>>
  readonly groups: GroupBudgets
}

/** Its methods return promises only if a bucket does. */
export interface LocalLimiter extends Limiter {
  /** Gives back what a request took of the budgets of its user's groups, when it is refused after all. */
  refundGroups(user: UserInfo): void
  /** How many requests or streams of a user run in this replica. */
  running(what: Running, username: string): number
  /** The users of which requests or streams run in this replica. */
  usersRunning(what: Running): Iterable<string>
}

/** What a request of a class counts as while it runs. */
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

  function take(buckets: Buckets, address: string, refusal: typeof addressRefusal) {
    const check = ({ allowed, waitMs, state }: Taken): void => {
      if (!allowed) refuse(refusal(waitMs, state))
    }
    const taken = buckets.take(addressKey(address), now())
    if (taken instanceof Promise) return taken.then(check)
    check(taken)
    return undefined
  }

  function admit(
    user: UserInfo,
    requestClass: RequestClass,
    overGroup: RefusedByGroup | undefined,
  ): Slot {
    if (overGroup !== undefined) {
      const { group, taken } = overGroup
      refuse(groupRefusal(group, taken.waitMs, taken.state))
    }
    const { username } = user
    const at = now()
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
  }

  return {
    admitAddress: (address) => take(addresses, address, addressRefusal),
    admitSignIn: (address) => take(signIns, address, signInRefusal),
    admitUser(user, requestClass) {
      const overGroup = groups.take(user, now())
      return overGroup instanceof Promise
        ? overGroup.then((over) => admit(user, requestClass, over))
        : admit(user, requestClass, overGroup)
    },
    refundGroups: (user) => groups.refund(user, now()),
    running: (what, username) => inFlight[what].count(username),
    usersRunning: (what) => inFlight[what].keys(),
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

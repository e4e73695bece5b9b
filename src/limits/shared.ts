/**
 * The limiter of several replicas. Each decides for itself first: what exceeds the limit in one replica
 * exceeds it in all, and costs no round trip. What passes there is charged in Redis: afterwards while a
 * budget holds much, and otherwise before the request goes on (shared-buckets.ts).
 */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { RequestClass } from '../request/types.ts'
import type { SharedStore } from '../state/shared-store.ts'
import { createGroupBudgets } from './group-budgets.ts'
import type { Limiter, Slot } from './limiter.ts'
import { createLocalLimiter, runningOf, type Running } from './local-limiter.ts'
import type { LimiterEffects, LimiterOptions } from './memory.ts'
import { stateUnavailable } from './own-part.ts'
import { concurrencyRefusal, rateRefusal, type LimitRefusal } from './refusals.ts'
import { createRunningElsewhere, type RunningOfKeys } from './running-elsewhere.ts'
import { createRunningLeases, type RunningLeases } from './running-leases.ts'
import {
  createSharedBuckets,
  type Confirmed,
  type SharedBuckets,
  type SharedBucketsEffects,
} from './shared-buckets.ts'
import type { BucketSize } from './token-bucket.ts'

export interface SharedLimiterOptions extends LimiterOptions {
  /** What happens while the shared state cannot be used. */
  readonly onFailure: 'local' | 'refuse'
}

export interface SharedLimiterEffects extends LimiterEffects {
  readonly store: SharedStore
}

export interface SharedLimiter extends Limiter {
  /** Charges what was given out, and frees the places of what has ended. Never rejects. */
  close(): Promise<void>
}

/** Above this part of a limit, a place that comes free is reported at once. */
const SCARCE_PART = 1 / 2

/** Creates the limiter; without Redis, every replica has its part of the limits. */
export function createSharedLimiter(
  options: SharedLimiterOptions,
  { metrics, store, now = () => performance.now() }: SharedLimiterEffects,
): SharedLimiter {
  const { concurrent, onFailure, maxTrackedKeys } = options
  const all: SharedBuckets[] = []

  function shared(
    kind: string,
    limit: string,
    size: BucketSize,
    maxKeys: number,
    counted?: Pick<SharedBucketsEffects, 'running' | 'elsewhere'>,
  ): SharedBuckets {
    const effects = { store, now, ...counted }
    const buckets = createSharedBuckets({ size, maxKeys, kind, limit, onFailure }, effects)
    all.push(buckets)
    return buckets
  }

  const runningOfUsers = (what: Running) => {
    const running: RunningOfKeys = {
      max: concurrent[what],
      // A stream may last for hours, and so would one too many.
      isExact: what === 'streams',
      keyOf: (username) => leases.keyOf(what, username),
      count: (username) => local.running(what, username),
      begin: (username, count) => leases.begin(what, username, count),
      reported: (username) => leases.reported(what, username),
    }
    const maxKeys = maxTrackedKeys
    return { running, elsewhere: createRunningElsewhere({ maxKeys }, { store, running }) }
  }
  const counted = { requests: runningOfUsers('requests'), streams: runningOfUsers('streams') }
  const ofUsers = (requestClass: RequestClass): SharedBuckets => {
    const size = options.user[requestClass]
    return shared('user', requestClass, size, maxTrackedKeys, counted[runningOf(requestClass)])
  }
  const users: Readonly<Record<RequestClass, SharedBuckets>> = {
    read: ofUsers('read'),
    write: ofUsers('write'),
    list: ofUsers('list'),
    stream: ofUsers('stream'),
  }
  const local = createLocalLimiter(
    { concurrent },
    {
      metrics,
      now,
      addresses: shared('address', 'address', options.address, maxTrackedKeys),
      signIns: shared('address', 'sign-in', options.signIn, maxTrackedKeys),
      users: {
        read: users.read.copies,
        write: users.write.copies,
        list: users.list.copies,
        stream: users.stream.copies,
      },
      groups: createGroupBudgets(options.groups, {
        bucketsFor: (size) => shared('group', 'group', size, 1),
      }),
    },
  )
  const leases = createRunningLeases(
    { maxKeys: maxTrackedKeys },
    {
      store,
      running: (what, username) => local.running(what, username),
      users: (what) => local.usersRunning(what),
    },
  )

  const refuse = ({ limit, error }: LimitRefusal): never => {
    metrics.limited.inc({ limit })
    throw error
  }

  function check(requestClass: RequestClass, held: SharedSlot, confirmed: Confirmed): void {
    const { allowed, state, waitMs, running, maxRunning } = confirmed
    held.state = state
    held.isScarce = running > maxRunning * SCARCE_PART
    if (!allowed) refuse(rateRefusal(requestClass, waitMs, state))
    if (running > maxRunning) refuse(concurrencyRefusal(runningOf(requestClass), maxRunning))
  }

  function confirm(user: UserInfo, requestClass: RequestClass, slot: Slot): Slot | Promise<Slot> {
    const { username } = user
    const held = new SharedSlot(slot, username, runningOf(requestClass), leases)
    const failed = (error: unknown): never => {
      held.release()
      local.refundGroups(user)
      throw error
    }
    try {
      const left = slot.state?.remaining ?? 0
      const confirmed = users[requestClass].confirm(username, left, now())
      if (confirmed instanceof Promise) {
        return confirmed
          .then((each) => {
            check(requestClass, held, each)
            return held
          })
          .catch(failed)
      }
      if (confirmed !== undefined) check(requestClass, held, confirmed)
      return held
    } catch (error) {
      return failed(error)
    }
  }

  return {
    admitAddress: (address) => local.admitAddress(address),
    admitSignIn: (address) => local.admitSignIn(address),
    admitUser(user, requestClass) {
      if (onFailure === 'refuse' && store.problem !== undefined) throw stateUnavailable()
      const admission = local.admitUser(user, requestClass)
      return admission instanceof Promise
        ? admission.then((slot) => confirm(user, requestClass, slot))
        : confirm(user, requestClass, admission)
    },
    async close() {
      await Promise.all(all.map((buckets) => buckets.close()))
      await leases.close()
    },
  }
}

class SharedSlot implements Slot {
  state: Slot['state']
  isScarce = false
  readonly #username: string
  readonly #what: Running
  readonly #leases: RunningLeases
  #slot: Slot | undefined

  constructor(slot: Slot, username: string, what: Running, leases: RunningLeases) {
    this.state = slot.state
    this.#slot = slot
    this.#username = username
    this.#what = what
    this.#leases = leases
  }

  release(): void {
    if (this.#slot === undefined) return
    this.#slot.release()
    this.#slot = undefined
    this.#leases.ended(this.#what, this.#username, this.isScarce)
  }
}

/**
 * The limiter of several replicas. Each decides for itself first: what exceeds the limit in one replica
 * exceeds it in all, and costs no round trip. What passes there is decided in Redis: of a user in one
 * round trip, of an address, a group or a sign-in afterwards (shared-buckets.ts).
 */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { RequestClass } from '../request/types.ts'
import { LEASE_MS, type SharedStore } from '../state/shared-store.ts'
import { createGroupBudgets } from './group-budgets.ts'
import { DECIDE, readDecision, stepOf, type Decision } from './limit-scripts.ts'
import type { Limiter, RateLimitState, Slot } from './limiter.ts'
import { createLocalLimiter, runningOf, type Running } from './local-limiter.ts'
import type { LimiterEffects, LimiterOptions } from './memory.ts'
import { createOwnPart, partOfCount, stateUnavailable } from './own-part.ts'
import { concurrencyRefusal, rateRefusal, type LimitRefusal } from './refusals.ts'
import { createRunningLeases, type RunningLeases } from './running-leases.ts'
import { createSharedBuckets } from './shared-buckets.ts'
import { createTokenBuckets, type BucketSize, type TokenBuckets } from './token-bucket.ts'

export interface SharedLimiterOptions extends LimiterOptions {
  /** What happens while the shared state cannot be used. */
  readonly onFailure: 'local' | 'refuse'
}

export interface SharedLimiterEffects extends LimiterEffects {
  readonly store: SharedStore
}

export interface SharedLimiter extends Limiter {
  /** Frees the places of what has ended, for other replicas. Never rejects. */
  close(): Promise<void>
}

/** The buckets of a class of requests. */
interface ClassBuckets {
  readonly size: BucketSize
  /** This replica's copies of the buckets in Redis. */
  readonly copies: TokenBuckets
  /** For the time without Redis. What is admitted with it counts here too: a failure fills no bucket. */
  readonly parts: Pick<TokenBuckets, 'take' | 'drain'>
}

/** Above this part of a limit, a place that comes free is reported at once. */
const SCARCE_PART = 1 / 2

/** Creates the limiter; without Redis, every replica has its part of the limits. */
export function createSharedLimiter(
  options: SharedLimiterOptions,
  { metrics, store, now = () => performance.now() }: SharedLimiterEffects,
): SharedLimiter {
  const { concurrent, onFailure, maxTrackedKeys } = options
  const shared = (kind: string, limit: string, size: BucketSize, maxKeys: number) =>
    createSharedBuckets({ size, maxKeys, kind, limit, onFailure }, { store, now })
  const classOf = (size: BucketSize): ClassBuckets => ({
    size,
    copies: createTokenBuckets(size, maxTrackedKeys),
    parts: createOwnPart(size, maxTrackedKeys, { store }),
  })
  const classes: Readonly<Record<RequestClass, ClassBuckets>> = {
    read: classOf(options.user.read),
    write: classOf(options.user.write),
    list: classOf(options.user.list),
    stream: classOf(options.user.stream),
  }
  const local = createLocalLimiter(
    { concurrent },
    {
      metrics,
      now,
      addresses: shared('address', 'address', options.address, maxTrackedKeys),
      signIns: shared('address', 'sign-in', options.signIn, maxTrackedKeys),
      users: {
        read: classes.read.copies,
        write: classes.write.copies,
        list: classes.list.copies,
        stream: classes.stream.copies,
      },
      groups: createGroupBudgets(options.groups, {
        bucketsFor: (size) => shared('group', 'group', size, 1),
      }),
    },
  )
  const leases = createRunningLeases({
    store,
    running: (what, username) => local.running(what, username),
  })

  const refuse = ({ limit, error }: LimitRefusal): never => {
    metrics.limited.inc({ limit })
    throw error
  }

  /** What this replica may admit without the others. */
  function admitOwnPart({ username }: UserInfo, requestClass: RequestClass): RateLimitState {
    if (onFailure === 'refuse') throw stateUnavailable()
    const { allowed, waitMs, state } = classes[requestClass].parts.take(username, now())
    if (!allowed) refuse(rateRefusal(requestClass, waitMs, state))
    const what = runningOf(requestClass)
    const max = partOfCount(concurrent[what], store.replicas)
    if (local.running(what, username) > max) refuse(concurrencyRefusal(what, max))
    return state
  }

  /** Undefined when Redis does not decide. */
  async function decide(
    username: string,
    requestClass: RequestClass,
    what: Running,
  ): Promise<Decision | undefined> {
    const { size } = classes[requestClass]
    const bucketKey = store.key(store.names.of('user', username), requestClass)
    const own = local.running(what, username)
    try {
      return await store.run(
        DECIDE,
        [bucketKey, leases.keyOf(what, username)],
        [stepOf(size), size.burst, store.replica, own, concurrent[what], LEASE_MS],
        (reply) => readDecision(reply, size),
      )
    } catch {
      return undefined
    }
  }

  async function admitShared(user: UserInfo, requestClass: RequestClass): Promise<Slot> {
    const admission = local.admitUser(user, requestClass)
    const slot = admission instanceof Promise ? await admission : admission
    const { username } = user
    const what = runningOf(requestClass)
    const held = new SharedSlot(slot, username, what, leases)
    try {
      const decision = await decide(username, requestClass, what)
      if (decision === undefined) {
        held.state = admitOwnPart(user, requestClass)
        return held
      }
      const { outcome, tokens, waitMs, running } = decision
      const { size, copies, parts } = classes[requestClass]
      const at = now()
      copies.lower(username, tokens, at)
      const state = stateOf(decision, size)
      held.state = state
      held.isScarce = running > concurrent[what] * SCARCE_PART
      if (outcome === 'rate') refuse(rateRefusal(requestClass, waitMs, state))
      parts.drain(username, at)
      if (outcome === 'running') refuse(concurrencyRefusal(what, concurrent[what]))
      return held
    } catch (error) {
      held.release()
      local.refundGroups(user)
      throw error
    }
  }

  return {
    admitAddress: (address) => local.admitAddress(address),
    admitSignIn: (address) => local.admitSignIn(address),
    admitUser(user, requestClass) {
      if (onFailure === 'refuse' && store.problem !== undefined) throw stateUnavailable()
      return admitShared(user, requestClass)
    },
    close: () => leases.close(),
  }
}

class SharedSlot implements Slot {
  state: RateLimitState | undefined
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

function stateOf({ tokens, fullMs }: Decision, { burst }: BucketSize): RateLimitState {
  return {
    limit: burst,
    remaining: Math.max(0, Math.floor(tokens)),
    resetSeconds: Math.ceil(fullMs / 1_000),
  }
}

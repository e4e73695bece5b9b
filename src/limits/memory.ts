/** The limiter of one replica: token buckets and counts of running requests, in memory. */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { Metrics } from '../metrics.ts'
import type { RequestClass } from '../request/types.ts'
import { createGroupBudgets, type GroupBudget } from './group-budgets.ts'
import type { Limiter, Slot } from './limiter.ts'
import { createLocalLimiter } from './local-limiter.ts'
import { createTokenBuckets, type BucketSize } from './token-bucket.ts'

export interface LimiterOptions {
  readonly address: BucketSize
  readonly signIn: BucketSize
  readonly user: Readonly<Record<RequestClass, BucketSize>>
  readonly groups: readonly GroupBudget[]
  readonly concurrent: { readonly requests: number; readonly streams: number }
  /** Most addresses, and most users of each class, that are tracked. */
  readonly maxTrackedKeys: number
}

export interface LimiterEffects {
  readonly metrics: Pick<Metrics, 'limited'>
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** `Limiter` without promises. */
export interface MemoryLimiter extends Limiter {
  admitAddress(address: string): void
  admitSignIn(address: string): void
  admitUser(user: UserInfo, requestClass: RequestClass): Slot
}

/** Creates the limiter; every key begins with a full bucket. */
export function createMemoryLimiter(
  { address, signIn, user, groups, concurrent, maxTrackedKeys }: LimiterOptions,
  { metrics, now = () => performance.now() }: LimiterEffects,
): MemoryLimiter {
  // Buckets in memory return no promises.
  return createLocalLimiter(
    { concurrent },
    {
      metrics,
      now,
      addresses: createTokenBuckets(address, maxTrackedKeys),
      signIns: createTokenBuckets(signIn, maxTrackedKeys),
      users: {
        read: createTokenBuckets(user.read, maxTrackedKeys),
        write: createTokenBuckets(user.write, maxTrackedKeys),
        list: createTokenBuckets(user.list, maxTrackedKeys),
        stream: createTokenBuckets(user.stream, maxTrackedKeys),
      },
      groups: createGroupBudgets(groups, { bucketsFor: (size) => createTokenBuckets(size, 1) }),
    },
  ) as MemoryLimiter
}

/** Budgets of groups: all users of a group share one. */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { BucketSize, Taken, TokenBuckets } from './token-bucket.ts'

export interface GroupBudget extends BucketSize {
  readonly group: string
}

/** What `GroupBudgets` needs of buckets. */
export type GroupBuckets = Pick<TokenBuckets, 'take' | 'refund'>

export interface RefusedByGroup {
  readonly group: string
  readonly taken: Taken
}

export interface GroupBudgets {
  /**
   * Takes a token of each budget of the user's groups, or none and returns the budget that is used up.
   * `now`: milliseconds of a monotonic clock.
   */
  take(user: UserInfo, now: number): RefusedByGroup | undefined
  /** Gives back what was taken for nothing. */
  refund(user: UserInfo, now: number): void
}

interface Budget {
  readonly group: string
  readonly buckets: GroupBuckets
}

/** @param bucketsFor makes the buckets of one group; their only key is its name */
export function createGroupBudgets(
  budgets: readonly GroupBudget[],
  { bucketsFor }: { readonly bucketsFor: (budget: GroupBudget) => GroupBuckets },
): GroupBudgets {
  const all = new Map(
    budgets.map((budget) => [budget.group, { group: budget.group, buckets: bucketsFor(budget) }]),
  )
  // A user may have a thousand groups, and is the same object as long as its credential is remembered.
  const known = new WeakMap<UserInfo, readonly Budget[]>()

  function budgetsOf(user: UserInfo): readonly Budget[] {
    let own = known.get(user)
    if (own === undefined) {
      own = [...new Set(user.groups)].flatMap((group) => all.get(group) ?? [])
      known.set(user, own)
    }
    return own
  }

  function refund(own: readonly Budget[], now: number): void {
    for (const { group, buckets } of own) buckets.refund(group, now)
  }

  if (all.size === 0) return { take: () => undefined, refund: () => undefined }
  return {
    take(user, now) {
      const own = budgetsOf(user)
      for (const [i, { group, buckets }] of own.entries()) {
        const taken = buckets.take(group, now)
        if (taken.allowed) continue
        // The other groups' members must not pay for a request that is refused.
        refund(own.slice(0, i), now)
        return { group, taken }
      }
      return undefined
    },
    refund: (user, now) => refund(budgetsOf(user), now),
  }
}

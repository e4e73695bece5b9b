/** Budgets of groups: all users of a group share one. */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { BucketSize, Taken } from './token-bucket.ts'

export interface GroupBudget extends BucketSize {
  readonly group: string
}

/** What is needed of buckets, in memory or shared. */
export interface GroupBuckets {
  take(key: string, now: number): Taken | Promise<Taken>
  refund(key: string, now: number): void
}

export interface RefusedByGroup {
  readonly group: string
  readonly taken: Taken
}

export interface GroupBudgets {
  /**
   * Takes a token of each budget of the user's groups, or none and returns the budget that is used up.
   * `now`: milliseconds of a monotonic clock.
   */
  take(
    user: UserInfo,
    now: number,
  ): RefusedByGroup | undefined | Promise<RefusedByGroup | undefined>
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
  const known = new Map(
    budgets.map((budget) => [budget.group, { group: budget.group, buckets: bucketsFor(budget) }]),
  )
  // A user may have a thousand groups, and is the same object as long as its credential is remembered.
  const byUser = new WeakMap<UserInfo, readonly Budget[]>()

  function budgetsOf(user: UserInfo): readonly Budget[] {
    let own = byUser.get(user)
    if (own === undefined) {
      own = [...new Set(user.groups)].flatMap((group) => known.get(group) ?? [])
      byUser.set(user, own)
    }
    return own
  }

  /** The first that refuses, if one does; then the others get their tokens back. */
  function refusedOf(
    own: readonly Budget[],
    all: readonly Taken[],
    now: number,
  ): RefusedByGroup | undefined {
    const refused = all.findIndex(({ allowed }) => !allowed)
    const taken = all[refused]
    const group = own[refused]?.group
    if (taken === undefined || group === undefined) return undefined
    // The other groups' members must not pay for a request that is refused.
    refund(
      own.filter((_, i) => all[i]?.allowed === true),
      now,
    )
    return { group, taken }
  }

  async function settle(
    own: readonly Budget[],
    taken: readonly (Taken | Promise<Taken>)[],
    now: number,
  ): Promise<RefusedByGroup | undefined> {
    // All of them at once: the store may fail for each, and every failure needs somebody who waits.
    const all = await Promise.all(taken.map((each) => Promise.resolve(each)))
    return refusedOf(own, all, now)
  }

  function refund(own: readonly Budget[], now: number): void {
    for (const { group, buckets } of own) buckets.refund(group, now)
  }

  if (known.size === 0) return { take: () => undefined, refund: () => undefined }
  return {
    take(user, now) {
      const own = budgetsOf(user)
      const taken = own.map(({ group, buckets }) => buckets.take(group, now))
      return areAll(taken) ? refusedOf(own, taken, now) : settle(own, taken, now)
    },
    refund: (user, now) => refund(budgetsOf(user), now),
  }
}

function areAll(taken: readonly (Taken | Promise<Taken>)[]): taken is readonly Taken[] {
  return !taken.some((each) => each instanceof Promise)
}

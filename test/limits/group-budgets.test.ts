/** Budgets of several groups of one user, where Redis has to be asked about each. */
import { expect, test } from 'vitest'

import { createGroupBudgets, type GroupBuckets } from '../../src/limits/group-budgets.ts'
import type { Taken } from '../../src/limits/token-bucket.ts'

const user = { username: 'ada', uid: '', groups: ['ci', 'ops'], extra: {} }
const state = { limit: 1, remaining: 0, resetSeconds: 1 }

/** The budgets of the groups `ci` and `ops`, in this order. */
function budgetsOf(ci: Promise<Taken>, ops: Promise<Taken>) {
  const refunded: string[] = []
  const buckets = (group: string, taken: Promise<Taken>): GroupBuckets => ({
    take: () => taken,
    refund: () => refunded.push(group),
  })
  const size = { requestsPerSecond: 1, burst: 1 }
  const budgets = createGroupBudgets(
    [
      { group: 'ci', ...size },
      { group: 'ops', ...size },
    ],
    { bucketsFor: ({ group }) => buckets(group, group === 'ci' ? ci : ops) },
  )
  return { budgets, refunded }
}

test('a store that fails for two groups of a request is one failure, and ends no process', async () => {
  const failed = () => Promise.reject<Taken>(new Error('no store'))
  const { budgets } = budgetsOf(failed(), failed())
  // Otherwise, the other one is an unhandled rejection, which fails this run and ends Gatehouse.
  await expect(budgets.take(user, 0)).rejects.toThrow('no store')
})

test('the budget that is used up is named, and the other group gets its token back', async () => {
  const allowed = Promise.resolve({ allowed: true, state, waitMs: 0 })
  const refused = Promise.resolve({ allowed: false, state, waitMs: 500 })
  const { budgets, refunded } = budgetsOf(allowed, refused)
  expect(await budgets.take(user, 0)).toMatchObject({ group: 'ops', taken: { waitMs: 500 } })
  expect(refunded).toEqual(['ci'])
})

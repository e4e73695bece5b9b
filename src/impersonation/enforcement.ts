/**
 * Finds out whether the API server enforces constrained impersonation (KEP-5284). One with the feature
 * gate off responds to reviews of the new verbs, too, but does not know them: what they grant must not count
 * there.
 */
import { ReviewError, type ReviewClient, type ReviewResponse } from '../cluster/review-client.ts'

/** How long a probe that found nothing out counts. */
const FAILED_LIFETIME_MS = 1_000

/** Whether the API server enforces it; false whenever it is not sure. */
export type EnforcementProbe = () => Promise<boolean>

export interface EnforcementOptions {
  /** How long a result is reused, in milliseconds. */
  readonly lifetime: number
  /** The headers that assert a user who may do nothing. In impersonation mode it is not sent. */
  readonly identityHeaders: readonly string[]
}

export interface EnforcementEffects {
  readonly reviewClient: Pick<ReviewClient, 'post'>
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** Called for each probe that found nothing out: why. */
  readonly onFailure: (problem: string) => void
}

/**
 * A group without a user is refused by the filter of constrained impersonation with "without
 * impersonating a user name", and by the filter before it with "without impersonating a user". Nothing
 * is created either way.
 */
export function createEnforcementProbe(
  { lifetime, identityHeaders }: EnforcementOptions,
  { reviewClient, now, onFailure }: EnforcementEffects,
): EnforcementProbe {
  let last: { readonly result: Promise<boolean>; expires: number } | undefined

  const failed = (problem: string): Found => {
    onFailure(problem)
    return { isEnforced: false, holds: FAILED_LIFETIME_MS }
  }

  async function probe(): Promise<Found> {
    let response: ReviewResponse
    try {
      response = await reviewClient.post({
        kind: 'SelfSubjectReview',
        as: { identityHeaders: [...identityHeaders, 'impersonate-group', 'gatehouse:probe'] },
      })
    } catch (error) {
      return failed(error instanceof ReviewError ? error.message : 'the probe failed')
    }
    if (response.status !== 400) return failed(`status ${response.status}`)
    const { message } = response.body
    const isEnforced =
      typeof message === 'string' && message.endsWith(' without impersonating a user name')
    return { isEnforced, holds: lifetime }
  }

  return () => {
    if (last !== undefined && now() < last.expires) return last.result
    const found = probe()
    const entry = { result: found.then(({ isEnforced }) => isEnforced), expires: Infinity }
    last = entry
    void found.then(({ holds }) => (entry.expires = now() + holds))
    return entry.result
  }
}

interface Found {
  readonly isEnforced: boolean
  /** How long this counts, in milliseconds. */
  readonly holds: number
}

/**
 * Finds out whether the API server enforces constrained impersonation (KEP-5284). One with the feature
 * gate off responds to reviews of the new verbs, too, but does not know them: what they grant must not count
 * there.
 */
import type { ReviewClient } from '../cluster/review-client.ts'

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
}

/**
 * A group without a user is refused by the filter of constrained impersonation with "without
 * impersonating a user name", and by the filter before it with "without impersonating a user". Nothing
 * is created either way.
 */
export function createEnforcementProbe(
  { lifetime, identityHeaders }: EnforcementOptions,
  { reviewClient, now }: EnforcementEffects,
): EnforcementProbe {
  let last: { readonly result: Promise<boolean>; expires: number } | undefined

  async function probe(): Promise<boolean> {
    const { status, body } = await reviewClient.post({
      kind: 'SelfSubjectReview',
      as: { identityHeaders: [...identityHeaders, 'impersonate-group', 'gatehouse:probe'] },
    })
    const { message } = body
    return (
      status === 400 &&
      typeof message === 'string' &&
      message.endsWith(' without impersonating a user name')
    )
  }

  return () => {
    if (last !== undefined && now() < last.expires) return last.result
    const entry = { result: probe().catch(() => false), expires: Infinity }
    last = entry
    void entry.result.then(() => (entry.expires = now() + lifetime))
    return entry.result
  }
}

/**
 * Asks the API server what a user may do, by SubjectAccessReview (k8s.io/api/authorization/v1), as
 * kube-apiserver asks an authorization webhook (apiserver/plugin/pkg/authorizer/webhook).
 */
import { createHash } from 'node:crypto'

import type { Attributes } from '../authorization/authorizer.ts'
import {
  ReviewError,
  statusMessage,
  type ReviewClient,
  type ReviewResponse,
} from '../cluster/review-client.ts'
import { createLru } from '../lru.ts'
import { retryAfter, StatusError } from '../status.ts'

export interface AccessReview {
  readonly allowed: boolean
  /** Why, in the words of the API server's authorizer. */
  readonly reason: string
}

/**
 * @throws StatusError 503 when the API server did not decide, with a `Retry-After` where another attempt
 * may help
 */
export type AccessReviewer = (attributes: Attributes) => Promise<AccessReview>

export interface AccessReviewerOptions {
  /** How long a decision is reused, in milliseconds. */
  readonly lifetime: number
  readonly maxEntries: number
  /** Reviews that may be under way at the same time; more are refused. */
  readonly maxPending: number
}

export interface AccessReviewerEffects {
  readonly reviewClient: Pick<ReviewClient, 'post'>
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** Called for each review that was not made: why the API server did not decide. */
  readonly onFailure: (problem: string) => void
}

interface Entry {
  readonly review: Promise<AccessReview>
  /** Until when it may be used; while it is pending, by requests that ask the same. */
  expires: number
}

/** Creates the reviewer. Requests that ask the same at the same time share one review. */
export function createAccessReviewer(
  { lifetime, maxEntries, maxPending }: AccessReviewerOptions,
  { reviewClient, now, onFailure }: AccessReviewerEffects,
): AccessReviewer {
  const known = createLru<Entry>(maxEntries)
  let pending = 0

  async function review(spec: object): Promise<AccessReview> {
    let response: ReviewResponse
    try {
      response = await reviewClient.post({
        kind: 'SubjectAccessReview',
        spec: spec as Record<string, unknown>,
        as: 'gatehouse',
      })
    } catch (error) {
      const problem = error instanceof ReviewError ? error.message : 'the review failed'
      onFailure(problem)
      throw undecided('the API server did not respond; try again', { cause: error, retry: true })
    }
    const decided = parse(response)
    if (decided !== undefined) return decided
    const { status } = response
    const why = `status ${status}: ${statusMessage(response)}`
    onFailure(why)
    const cause = new Error(why)
    throw status === 403 || status === 401
      ? undecided(
          'Gatehouse may not create SubjectAccessReviews: ask your Gatehouse administrator to grant ' +
            'create on subjectaccessreviews.authorization.k8s.io',
          { cause, retry: false },
        )
      : undecided(`the API server did not decide (status ${status}); try again`, {
          cause,
          retry: true,
        })
  }

  return (attributes) => {
    const spec = specOf(attributes)
    const key = createHash('sha256').update(JSON.stringify(spec)).digest('base64')
    const found = known.get(key)
    if (found !== undefined && now() < found.expires) return found.review
    if (pending >= maxPending) {
      onFailure(`${pending} reviews are under way`)
      return Promise.reject(
        undecided('too many wait for the API server; try again', { retry: true }),
      )
    }
    pending += 1
    const entry: Entry = { review: review(spec), expires: Infinity }
    known.set(key, entry)
    // Counted from the decision. A failure is nothing to remember.
    const ended = (expires: number): void => {
      pending -= 1
      entry.expires = expires
    }
    entry.review.then(
      () => ended(now() + lifetime),
      () => ended(0),
    )
    return entry.review
  }
}

function specOf({ user, info }: Attributes): object {
  return {
    user: user.username,
    groups: user.groups,
    ...(user.uid === '' ? {} : { uid: user.uid }),
    ...(Object.keys(user.extra).length === 0 ? {} : { extra: user.extra }),
    ...(info.isResourceRequest
      ? {
          resourceAttributes: {
            verb: info.verb,
            group: info.apiGroup,
            version: info.apiVersion,
            resource: info.resource,
            subresource: info.subresource,
            namespace: info.namespace,
            name: info.name,
            ...selector('fieldSelector', info.fieldSelector),
            ...selector('labelSelector', info.labelSelector),
          },
        }
      : { nonResourceAttributes: { verb: info.verb, path: info.path } }),
  }
}

function selector(field: string, rawSelector: string): object {
  return rawSelector === '' ? {} : { [field]: { rawSelector } }
}

/** Undefined when the response is not a decision. A decision without `allowed: true` denies. */
function parse({ status, body }: ReviewResponse): AccessReview | undefined {
  if (status !== 201) return undefined
  const { status: review } = body as { status?: Record<string, unknown> | null }
  if (typeof review !== 'object' || review === null) return undefined
  const { allowed, denied, reason, evaluationError } = review
  if (typeof allowed !== 'boolean') return undefined
  const texts = [evaluationError, reason].filter(
    (text): text is string => typeof text === 'string' && text !== '',
  )
  return { allowed: allowed && denied !== true, reason: texts.join(': ').slice(0, 1_000) }
}

function undecided(
  message: string,
  { cause, retry }: { readonly cause?: unknown; readonly retry: boolean },
): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    `the impersonation cannot be authorized: ${message}`,
    {
      ...(cause === undefined ? {} : { cause }),
      ...(retry ? retryAfter(1) : {}),
    },
  )
}

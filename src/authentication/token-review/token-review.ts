/**
 * Authenticates service accounts by TokenReview (k8s.io/api/authentication/v1): the API server, which
 * signed their tokens, also knows which of them it has taken back.
 */
import { isDeepStrictEqual } from 'node:util'

import { ReviewError, type ReviewClient, type ReviewResponse } from '../../cluster/review-client.ts'
import { createLru } from '../../lru.ts'
import { retryAfter, StatusError } from '../../status.ts'
import type { Authentication } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { rejected } from '../identity-guard.ts'
import { tokenDigest } from '../oidc/token-cache.ts'
import { quote } from '../quote.ts'
import type { SignIn } from '../sign-in.ts'
import { namesOf, readReview, usernameOf } from './review-status.ts'
import { claimsOf, type ServiceAccountClaims } from './service-account-claims.ts'

export interface TokenReviewOptions {
  /** Only tokens with one of these issuers (`iss`) are reviewed. */
  readonly issuers: readonly string[]
  /** The API server must say that the token is for one of them. */
  readonly audiences: readonly string[]
}

export interface TokenReviewEffects {
  readonly reviewClient: Pick<ReviewClient, 'post'>
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** The API server no longer accepts a token that it accepted before. */
  readonly onRevoked: () => void
  /** Called for each review without a verdict: why. */
  readonly onFailure: (problem: string) => void
}

const METHOD = 'serviceaccount'
/** How long a verdict is reused, in milliseconds, as by kube-apiserver for its own tokens. */
const LIFETIME_MS = 10_000
const MAX_ENTRIES = 10_000
/** Reviews under way; a sender of invalid tokens could otherwise fill the queue to the API server. */
const MAX_REVIEWS = 64

interface Entry {
  readonly verdict: Promise<Authentication>
  /** What the API server accepted last, perhaps in an earlier review; undefined if never. */
  last: Authentication | undefined
  /** The verdict, once it is to accept the token. */
  accepted: Authentication | undefined
  /** Until when the verdict may be used; a pending one is shared. */
  expires: number
}

/** Creates the method. Requests with the same token at the same time share one review. */
export function createTokenReviewSignIn(
  { issuers, audiences }: TokenReviewOptions,
  { reviewClient, clock, onRevoked, onFailure }: TokenReviewEffects,
): SignIn {
  const known = createLru<Entry>(MAX_ENTRIES)
  const revoked = new WeakSet<Authentication['annotations']>()
  let underWay = 0

  async function post(
    request: Omit<Parameters<ReviewClient['post']>[0], 'as'>,
  ): Promise<ReviewResponse> {
    try {
      return await reviewClient.post({ ...request, as: 'gatehouse' })
    } catch (error) {
      if (!(error instanceof ReviewError)) throw error
      throw undecided(`the API server did not review it (${error.message}); try again`, {
        cause: error,
      })
    }
  }

  async function review(
    token: string,
    { issuer, expiresAt, tokenID }: ServiceAccountClaims,
  ): Promise<Authentication> {
    if (underWay >= MAX_REVIEWS) {
      throw undecided('too many tokens are being reviewed; try again')
    }
    underWay++
    try {
      const [reviewed, self] = await Promise.all([
        post({ kind: 'TokenReview', spec: { token, audiences } }),
        post({ kind: 'SelfSubjectReview' }),
      ])
      const status = readReview(reviewed)
      if ('problem' in status) throw undecided(status.problem, { retry: status.retry })
      if (status.user === undefined)
        throw unauthorized(`the API server refused the token: ${status.reason}`)
      if (!status.audiences.some((audience) => audiences.includes(audience))) {
        throw unauthorized('the API server does not confirm an audience of the token')
      }
      const own = usernameOf(self)
      if (own === undefined)
        throw undecided('the API server does not say who Gatehouse is; try again')
      const { user } = status
      if (namesOf(user) === undefined) {
        throw unauthorized(`the token is not one of a service account: ${quote(user.username)}`)
      }
      if (user.username === own) {
        throw rejected(`${quote(own)} is Gatehouse's own account, which must not come through it`)
      }
      return {
        user,
        method: METHOD,
        annotations: { 'authentication.gatehouse/issuer': issuer },
        // A token without a time ends only when the API server takes it back.
        ...(expiresAt === 0 ? {} : { expiresAt }),
        ...(tokenID === undefined ? {} : { tokenID }),
      }
    } finally {
      underWay--
    }
  }

  /** Requests that are still running were accepted with this object. */
  function revoke(authentication: Authentication | undefined): void {
    if (authentication === undefined) return
    revoked.add(authentication.annotations)
    onRevoked()
  }

  function begin(token: string, digest: string, claims: ServiceAccountClaims): Entry {
    const last = known.get(digest)?.last
    const verdict = review(token, claims).then((next) => sameUser(last, next) ?? next)
    const entry: Entry = { verdict, last, accepted: undefined, expires: Infinity }
    known.set(digest, entry)
    verdict.then(
      (authentication) => {
        if (last !== authentication) revoke(last)
        entry.last = authentication
        entry.accepted = authentication
        entry.expires = Math.min(clock() + LIFETIME_MS, claims.expiresAt)
      },
      (error: unknown) => {
        // Without a decision, the next request asks again.
        const isRefused = error instanceof StatusError && error.code < 500
        entry.expires = isRefused ? clock() + LIFETIME_MS : 0
        if (!isRefused) {
          onFailure(error instanceof StatusError ? error.message : 'the review failed')
          return
        }
        entry.last = undefined
        revoke(last)
      },
    )
    return entry
  }

  return {
    method: METHOD,
    authenticate(credential) {
      if (credential.kind !== 'token') return undefined
      const claims = claimsOf(credential.token)
      if (claims === undefined || !issuers.includes(claims.issuer)) return undefined
      const digest = tokenDigest(credential.token)
      const entry = known.get(digest)
      if (entry !== undefined && clock() < entry.expires) return entry.accepted ?? entry.verdict
      return begin(credential.token, digest, claims).verdict
    },
    recheck: ({ annotations }) =>
      revoked.has(annotations) ? 'the API server no longer accepts the token' : undefined,
    reserves: () => undefined,
    systemIdentities: (user) => namesOf(user) ?? { users: [], groups: [] },
    readiness: () => [],
    close: () => {
      known.clear()
    },
  }
}

/** A later review that gives the same user gives the same object. */
function sameUser(
  last: Authentication | undefined,
  next: Authentication,
): Authentication | undefined {
  return isDeepStrictEqual(last?.user, next.user) ? last : undefined
}

/** @param retry whether another attempt may help; clients repeat a response with `Retry-After` */
function undecided(
  message: string,
  { cause, retry = true }: { readonly cause?: unknown; readonly retry?: boolean } = {},
): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    `the service account token cannot be checked: ${message}`,
    {
      ...(cause === undefined ? {} : { cause }),
      ...(retry ? retryAfter(1) : {}),
    },
  )
}

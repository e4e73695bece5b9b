/** Reads the responses of the API server to reviews. They are checked like any other input. */
import { z } from 'zod'

import type { ReviewResponse } from '../../cluster/review-client.ts'
import type { UserInfo } from '../authenticator.ts'
import { AUTHENTICATED, type SystemIdentities } from '../identity-guard.ts'
import { quote } from '../quote.ts'
import { serviceAccountGroups, serviceAccountOf } from '../user-names.ts'

export type ReviewStatus =
  | { readonly user: UserInfo; readonly audiences: readonly string[] }
  /** The token is refused. */
  | { readonly user: undefined; readonly reason: string }
  /** There is no decision: why, what to do, and whether another attempt may help. */
  | { readonly problem: string; readonly retry: boolean }

const user = z.object({
  username: z.string().min(1),
  uid: z.string().default(''),
  groups: z.array(z.string()).default([]),
  extra: z.record(z.string(), z.array(z.string())).default({}),
})
const review = z.object({
  status: z.object({
    authenticated: z.boolean().default(false),
    user: z.unknown().optional(),
    audiences: z.array(z.string()).default([]),
    error: z.string().default(''),
  }),
})
const self = z.object({ status: z.object({ userInfo: z.object({ username: z.string().min(1) }) }) })

/** What the response to a TokenReview says of the token. */
export function readReview({ status, body }: ReviewResponse): ReviewStatus {
  if (status === 401 || status === 403) {
    return {
      problem:
        'Gatehouse may not create TokenReviews: ask your Gatehouse administrator to grant create on ' +
        'tokenreviews.authentication.k8s.io',
      retry: false,
    }
  }
  const parsed = review.safeParse(body)
  if (status !== 201 || !parsed.success) {
    return {
      problem: `the API server did not review it (status ${status}); try again`,
      retry: true,
    }
  }
  const { authenticated, error, audiences, user: reviewed } = parsed.data.status
  if (!authenticated)
    return { user: undefined, reason: error === '' ? 'no reason given' : quote(error) }
  const found = user.safeParse(reviewed)
  if (!found.success) return { user: undefined, reason: 'it does not say whose it is' }
  return { user: found.data, audiences }
}

/** The name of the user who sent a SelfSubjectReview; undefined if the response does not have it. */
export function usernameOf({ status, body }: ReviewResponse): string | undefined {
  const parsed = self.safeParse(body)
  return status === 201 && parsed.success ? parsed.data.status.userInfo.username : undefined
}

/**
 * The names in Kubernetes' own name space that a service account has: its user name, and the groups of all
 * accounts and of those of its namespace. Undefined for another user.
 */
export function namesOf({ username }: UserInfo): SystemIdentities | undefined {
  const account = serviceAccountOf(username)
  if (account === undefined) return undefined
  return { users: [username], groups: [...serviceAccountGroups(account.namespace), AUTHENTICATED] }
}

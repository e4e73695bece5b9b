/**
 * Readiness of the connection to the API server: whether it responds, whether it rejects anonymous
 * requests, and whether it accepts the identity that Gatehouse asserts. All three by
 * SelfSubjectReview, whose response names the user that the API server recognized; none of them is
 * authorized as Gatehouse itself.
 */
import type { UserInfo } from '../authentication/authenticator.ts'
import {
  statusMessage,
  type ReviewClient,
  type ReviewError,
  type ReviewResponse,
} from '../cluster/review-client.ts'
import { upstreamReason } from './errors.ts'
import type { IdentityFinding } from './identity-gate.ts'
import { identityHeaders, type IdentityNames } from './identity.ts'

/** What each check found wrong; undefined when it passed. */
export interface UpstreamChecks {
  readonly reachable: string | undefined
  readonly rejectsAnonymous: string | undefined
  readonly assertsIdentity: string | undefined
}

/** The last check in full too, for the identity gate. */
export interface CheckedUpstream extends UpstreamChecks {
  readonly identity: IdentityFinding
}

export interface UpstreamCheckOptions {
  readonly reviewClient: Pick<ReviewClient, 'post'>
  readonly identity: IdentityNames
  /** The administrator accepts that the API server allows anonymous requests, as many managed clusters do. */
  readonly tolerateAnonymousAuth: boolean
}

/** Every authenticated user may create a SelfSubjectReview (ClusterRole `system:basic-user`). */
export const PROBE_USER: UserInfo = { username: 'gatehouse:readyz', uid: '', groups: [], extra: {} }

/** The cause is reported once, by the reachability check. */
const UNKNOWN = 'unknown while the API server is unreachable'

/** Runs all three checks; never rejects. */
export async function checkUpstream(options: UpstreamCheckOptions): Promise<CheckedUpstream> {
  const { reviewClient, identity, tolerateAnonymousAuth } = options
  const [anonymous, probe] = await Promise.all([
    settle(reviewClient.post({ kind: 'SelfSubjectReview', as: 'anonymous' })),
    probeIdentity(options),
  ])
  const finding = identityFinding(probe, identity)
  return {
    reachable:
      probe instanceof Error
        ? `the API server cannot be reached: ${upstreamReason(probe)}`
        : undefined,
    rejectsAnonymous: tolerateAnonymousAuth ? undefined : anonymousProblem(anonymous, probe),
    assertsIdentity: finding.problem,
    identity: finding,
  }
}

/** Checks only whether the API server takes the asserted identity for the user; never rejects. */
export async function checkIdentity(
  options: Pick<UpstreamCheckOptions, 'reviewClient' | 'identity'>,
): Promise<IdentityFinding> {
  return identityFinding(await probeIdentity(options), options.identity)
}

function probeIdentity({
  reviewClient,
  identity,
}: Pick<UpstreamCheckOptions, 'reviewClient' | 'identity'>): Promise<Settled> {
  return settle(
    reviewClient.post({
      kind: 'SelfSubjectReview',
      as: { identityHeaders: identityHeaders(PROBE_USER, identity) },
    }),
  )
}

type Settled = ReviewResponse | ReviewError

function anonymousProblem(anonymous: Settled, probe: Settled): string | undefined {
  if (anonymous instanceof Error) {
    return probe instanceof Error ? UNKNOWN : `unknown: ${upstreamReason(anonymous)}`
  }
  if (anonymous.status === 401) return undefined
  return (
    `the API server accepts anonymous requests (status ${anonymous.status}): start it with ` +
    '--anonymous-auth=false, or set upstream.tolerateAnonymousAuth: true to accept this'
  )
}

function identityFinding(probe: Settled, identity: IdentityNames): IdentityFinding {
  if (probe instanceof Error) return { verdict: 'unknown', problem: UNKNOWN }
  const { status } = probe
  if (status === 401) {
    const problem = "the API server does not accept Gatehouse's own credential"
    return { verdict: 'refused', problem }
  }
  if (status !== 201) {
    return {
      // An API server that is overloaded or starting has not judged the identity.
      verdict: status === 429 || status >= 500 ? 'unknown' : 'refused',
      problem: `the API server refused the asserted identity (status ${status}): ${statusMessage(probe)}`,
    }
  }
  const username = recognizedUser(probe)
  if (username === PROBE_USER.username) return { verdict: 'asserted', problem: undefined }
  return {
    verdict: 'ignored',
    problem:
      `the API server ignored the asserted identity (${identity.mode}): ` +
      `it recognized the user ${JSON.stringify(username)}`,
  }
}

async function settle(response: Promise<ReviewResponse>): Promise<Settled> {
  try {
    return await response
  } catch (error) {
    return error as ReviewError
  }
}

function recognizedUser({ body }: ReviewResponse): string {
  const { status } = body as { status?: { userInfo?: { username?: unknown } | null } | null }
  const username = status?.userInfo?.username
  return typeof username === 'string' ? username : ''
}

/** Everything that forwards to an API server: its credential, its rules, and reviews by it. */
import type { Authorizer } from '../authorization/authorizer.ts'
import { createAuthorizerUnion } from '../authorization/union.ts'
import type { UpstreamCredential } from '../cluster/credential.ts'
import { createReviewClient, type ReviewClient } from '../cluster/review-client.ts'
import type { Configuration } from '../config/schema.ts'
import { createAccessReviewer } from '../impersonation/access-reviews.ts'
import { createEnforcementProbe } from '../impersonation/enforcement.ts'
import { createImpersonator, type Impersonator } from '../impersonation/impersonator.ts'
import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Cluster } from '../pipeline/cluster.ts'
import type { LiveRequests } from '../pipeline/live-requests.ts'
import { StatusError } from '../status.ts'
import { checkIdentity, PROBE_USER } from '../upstream/checks.ts'
import { createUpstream, type Upstream } from '../upstream/forward.ts'
import {
  createIdentityGate,
  type IdentityFinding,
  type IdentityGate,
} from '../upstream/identity-gate.ts'
import { identityHeaders, IMPERSONATION, type IdentityNames } from '../upstream/identity.ts'
import type { Loaded } from './load.ts'
import { startReloadable, type Reloadable } from './reloadable.ts'

export interface ClusterEffects {
  readonly log: Log
  readonly metrics: Metrics
  readonly live: LiveRequests
}

export interface StartedCluster {
  /** A reload replaces members. */
  readonly cluster: { -readonly [Name in keyof Cluster]: Cluster[Name] }
  readonly reviewClient: ReviewClient
  /** For `kubectl --as` alone, so that its many reviews delay no sign-in and no readiness check. */
  readonly accessReviewClient: ReviewClient
  readonly identityGate: IdentityGate
  /** Everything that is loaded again when its files change. */
  readonly reloadables: readonly Reloadable[]
}

/** For a whole review, connecting included. */
export const REVIEW_TIMEOUT_MS = 5_000

/** Starts the only cluster at present. */
export function startCluster(
  { configuration, rules, credential }: Loaded,
  { log, metrics, live }: ClusterEffects,
): StartedCluster {
  const { connections, queue, additionalRequestHeaders } = configuration.upstream
  const identity = identityNames(configuration.upstream.identity)
  const identityGate = createIdentityGate(
    { mode: identity.mode },
    { onIgnored: () => live.cutAll(new StatusError('ServiceUnavailable', IDENTITY_IGNORED)) },
  )
  const upstream: Upstream = createUpstream(
    { identity, limits: connections, queue, additionalHeaders: additionalRequestHeaders },
    { log, metrics, identityGate },
  )
  const cluster: StartedCluster['cluster'] = { name: 'default', authorize: denyAll, upstream }
  const reviewClientFor = (used: UpstreamCredential): ReviewClient => {
    const { idleTimeout } = connections
    return createReviewClient({ credential: used, timeout: REVIEW_TIMEOUT_MS, idleTimeout })
  }
  const reviewClient = reviewClientFor(credential.value)
  const accessReviewClient = reviewClientFor(credential.value)
  if (configuration.impersonation.enabled) {
    const reviewClients = { reviewClient, accessReviewClient }
    cluster.impersonate = startImpersonator(configuration, { log, ...reviewClients })
  }
  let probed: IdentityFinding | undefined
  const reloadables = [
    startReloadable(rules, ({ authorize }) => {
      cluster.authorize = createAuthorizerUnion([authorize])
      recheckAuthorization(live, log)
    }),
    startReloadable(
      credential,
      (next) => {
        upstream.updateCredential(next)
        reviewClient.updateCredential(next)
        accessReviewClient.updateCredential(next)
        identityGate.replaced(probed)
      },
      async (next) => {
        probed = await probeCredential(reviewClientFor(next), identity)
      },
    ),
  ]
  return { cluster, reviewClient, accessReviewClient, identityGate, reloadables }
}

/** As long as kube-apiserver remembers what constrained impersonation allowed. */
const REVIEW_LIFETIME_MS = 10_000
const MAX_REVIEWS = 10_000
const MAX_PENDING_REVIEWS = 512
/** An API server is replaced by one with another feature gate more slowly than this. */
const ENFORCEMENT_LIFETIME_MS = 60_000

function startImpersonator(
  { authentication, upstream }: Configuration,
  {
    log,
    reviewClient,
    accessReviewClient,
  }: Pick<ClusterEffects, 'log'> & Pick<StartedCluster, 'reviewClient' | 'accessReviewClient'>,
): Impersonator {
  const now = (): number => performance.now()
  const throttled = throttledLog(log)
  const identity = identityNames(upstream.identity)
  return createImpersonator(authentication, {
    review: createAccessReviewer(
      {
        lifetime: REVIEW_LIFETIME_MS,
        maxEntries: MAX_REVIEWS,
        maxPending: MAX_PENDING_REVIEWS,
      },
      {
        reviewClient: accessReviewClient,
        now,
        onFailure: (problem) =>
          throttled.warn({ problem }, 'an impersonation could not be authorized'),
      },
    ),
    isEnforced: createEnforcementProbe(
      {
        lifetime: ENFORCEMENT_LIFETIME_MS,
        identityHeaders:
          identity.mode === 'requestheader' ? identityHeaders(PROBE_USER, identity) : [],
      },
      {
        reviewClient,
        now,
        onFailure: (problem) =>
          throttled.warn({ problem }, 'support for constrained impersonation could not be checked'),
      },
    ),
  })
}

const IDENTITY_IGNORED = "the API server no longer takes users' requests for theirs"

/**
 * Tries a credential that was read by a reload before it comes into effect. In impersonation mode only
 * an API server that ignores the identity is a reason to keep the earlier one; what else fails there
 * fails every request by itself.
 *
 * @throws Error when the API server does not take users' identities with it
 */
async function probeCredential(
  reviewClient: ReviewClient,
  identity: IdentityNames,
): Promise<IdentityFinding> {
  try {
    const finding = await checkIdentity({ reviewClient, identity })
    const { verdict, problem } = finding
    const isStrict = identity.mode === 'requestheader'
    if (verdict === 'ignored' || (isStrict && verdict !== 'asserted')) {
      throw new Error(`the new credential was tried and is not used: ${problem ?? verdict}`)
    }
    return finding
  } finally {
    await reviewClient.close()
  }
}

/** Until rules are in effect. */
const denyAll: Authorizer = () => ({
  ...{ decision: 'deny', rule: '', reason: 'no rules have been loaded', shadow: [] },
})

function recheckAuthorization(live: LiveRequests, log: Log): void {
  const logEnded = (ended: number): void => {
    if (ended > 0) log.info({ streams: ended }, 'ended streams that the new rules forbid')
  }
  const ended = live.recheckAuthorization()
  if (ended instanceof Promise) void ended.then(logEnded)
  else logEnded(ended)
}

/** Header names as configured, in the lower case that upstream writes. */
export function identityNames({
  mode,
  requestheader,
}: Configuration['upstream']['identity']): IdentityNames {
  if (mode === 'impersonation') return IMPERSONATION
  return {
    mode,
    user: requestheader.usernameHeader.toLowerCase(),
    group: requestheader.groupHeader.toLowerCase(),
    uid: requestheader.uidHeader.toLowerCase(),
    extraPrefix: requestheader.extraHeaderPrefix.toLowerCase(),
  }
}

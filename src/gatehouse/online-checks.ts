/**
 * The checks of `/readyz` that reach outside of Gatehouse, run once without a listener: whether the API
 * server can be reached, rejects anonymous requests and accepts the asserted identity, and whether
 * users can sign in.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import type { SignIn } from '../authentication/sign-in.ts'
import { createReviewClient, type ReviewClient } from '../cluster/review-client.ts'
import type { Log } from '../log.ts'
import { createMetrics } from '../metrics.ts'
import { checkUpstream } from '../upstream/checks.ts'
import { identityNames, REVIEW_TIMEOUT_MS } from './start-cluster.ts'
import type { Loaded } from './load.ts'

export interface OnlineCheck {
  /** As in `/readyz?verbose`. */
  readonly name: string
  /** Undefined if the check passed. */
  readonly problem: string | undefined
}

export interface OnlineCheckEffects {
  readonly log: Log
}

/** Longer than the sign-in methods' own timeouts. */
const SIGN_IN_DEADLINE_MS = 15_000
const SIGN_IN_INTERVAL_MS = 20

/** Runs all checks; none of them changes anything in the cluster. */
export async function runOnlineChecks(
  loaded: Loaded,
  effects: OnlineCheckEffects,
): Promise<readonly OnlineCheck[]> {
  const checks = await Promise.all([checkSignIns(loaded, effects), checkApiServer(loaded)])
  return checks.flat()
}

function reviewClientOf({ configuration: { upstream }, credential }: Loaded): ReviewClient {
  return createReviewClient({
    credential: credential.value,
    timeout: REVIEW_TIMEOUT_MS,
    idleTimeout: upstream.connections.idleTimeout,
  })
}

async function checkApiServer(loaded: Loaded): Promise<OnlineCheck[]> {
  const { upstream } = loaded.configuration
  const reviewClient = reviewClientOf(loaded)
  try {
    const found = await checkUpstream({
      reviewClient,
      identity: identityNames(upstream.identity),
      tolerateAnonymousAuth: upstream.tolerateAnonymousAuth,
    })
    return [
      { name: 'upstream-reachable', problem: found.reachable },
      { name: 'upstream-rejects-anonymous', problem: found.rejectsAnonymous },
      { name: 'upstream-asserts-identity', problem: found.assertsIdentity },
    ]
  } finally {
    await reviewClient.close()
  }
}

async function checkSignIns(loaded: Loaded, effects: OnlineCheckEffects): Promise<OnlineCheck[]> {
  const { configuration, signIns, proxyFor } = loaded
  const { log } = effects
  const reviewClient = reviewClientOf(loaded)
  const metrics = createMetrics({ processMetrics: false })
  const started = signIns.map(
    (signIn) =>
      signIn.start(configuration.authentication, {
        log,
        metrics,
        // Nobody signs in.
        reviewClient: { ...reviewClient, post: () => Promise.reject(new Error('nobody signs in')) },
        proxyFor,
        trustClients: () => undefined,
        trustGeneration: () => 0,
        chainOf: () => [],
        onRevoked: () => undefined,
        publishIssuers: () => undefined,
        trustIssued: () => undefined,
        clientCA: () => '',
        isIssuer: () => false,
        publishCertificates: () => undefined,
        guardUser: (user) => user,
        onLimited: () => undefined,
      }).signIn,
  )
  try {
    return await settledChecks(started)
  } finally {
    for (const signIn of started) signIn.close()
    await reviewClient.close()
  }
}

async function settledChecks(
  signIns: readonly Pick<SignIn, 'readiness'>[],
): Promise<OnlineCheck[]> {
  const deadline = performance.now() + SIGN_IN_DEADLINE_MS
  for (;;) {
    const checks = signIns.flatMap((signIn) => signIn.readiness())
    if (checks.every(({ wasTried }) => wasTried) || performance.now() > deadline) {
      return checks.map(({ name, problem }) => ({ name, problem }))
    }
    await sleep(SIGN_IN_INTERVAL_MS)
  }
}

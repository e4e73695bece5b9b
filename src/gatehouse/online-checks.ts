/**
 * The checks of `/readyz` that reach outside of Gatehouse, run once without a listener: whether the API
 * server can be reached, rejects anonymous requests and accepts the asserted identity, whether users can
 * sign in, and whether Redis can be used.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { SYSTEM_TIMING } from '../authentication/oidc/jwks.ts'
import type { SignIn } from '../authentication/sign-in.ts'
import { createReviewClient, type ReviewClient } from '../cluster/review-client.ts'
import type { Log } from '../log.ts'
import { createMetrics } from '../metrics.ts'
import { createTransmitters } from '../security-events/transmitters.ts'
import { checkUpstream } from '../upstream/checks.ts'
import { identityNames, REVIEW_TIMEOUT_MS } from './start-cluster.ts'
import type { Loaded } from './load.ts'
import { openRedisStore } from './shared-state.ts'

export interface OnlineCheck {
  /** As in `/readyz?verbose`. */
  readonly name: string
  /** Undefined if the check passed. */
  readonly problem: string | undefined
}

export interface OnlineCheckEffects {
  readonly log: Log
  /** Called with each password that a server may repeat, and a library then prints. */
  readonly onPassword: (password: string) => void
}

/** Longer than what sign-ins depend on takes to fail, such as a directory with several servers that hang. */
const SIGN_IN_DEADLINE_MS = 60_000
/** As long as a reload tries a new credential. */
const REDIS_DEADLINE_MS = 5_000
const INTERVAL_MS = 20

/** Runs all checks; none of them changes anything in the cluster. */
export async function runOnlineChecks(
  loaded: Loaded,
  effects: OnlineCheckEffects,
): Promise<readonly OnlineCheck[]> {
  const checks = await Promise.all([
    checkRedis(loaded, effects),
    checkSignIns(loaded, effects),
    checkTransmitters(loaded, effects),
    checkApiServer(loaded),
  ])
  return checks.flat()
}

/** For this moment, it counts as a replica. */
async function checkRedis(
  { configuration, redis: credential }: Loaded,
  { log, onPassword }: OnlineCheckEffects,
): Promise<readonly OnlineCheck[]> {
  const { redis } = configuration.state
  if (redis === undefined || credential === undefined) return []
  const metrics = createMetrics({ processMetrics: false })
  const store = await openRedisStore(redis, credential.value, { log, metrics, onPassword })
  try {
    await until(() => store.problem === undefined, REDIS_DEADLINE_MS)
    return [{ name: 'redis', problem: store.problem }]
  } finally {
    await store.close()
  }
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
        issuerPrefixes: () => undefined,
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

/** Whether their metadata and keys can be fetched. */
async function checkTransmitters(
  { securityEvents, proxyFor }: Loaded,
  { log }: OnlineCheckEffects,
): Promise<OnlineCheck[]> {
  if (securityEvents === undefined) return []
  const transmitters = createTransmitters({ timing: SYSTEM_TIMING, proxyFor, maxAge: 0 }, { log })
  transmitters.update(securityEvents.value)
  try {
    return await settledChecks([transmitters])
  } finally {
    transmitters.close()
  }
}

async function settledChecks(
  signIns: readonly Pick<SignIn, 'readiness'>[],
): Promise<OnlineCheck[]> {
  const checks = () => signIns.flatMap((signIn) => signIn.readiness())
  await until(() => checks().every(({ wasTried }) => wasTried), SIGN_IN_DEADLINE_MS)
  return checks().map(({ name, problem }) => ({ name, problem }))
}

/** Resolves when it holds, or after `milliseconds`. */
async function until(holds: () => boolean, milliseconds: number): Promise<void> {
  const deadline = performance.now() + milliseconds
  while (!holds() && performance.now() < deadline) await sleep(INTERVAL_MS)
}

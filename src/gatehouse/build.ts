/** Builds the stages, and puts everything that was loaded into effect. Nothing listens yet. */
import { createAuditor } from '../audit/auditor.ts'
import type { UserInfo } from '../authentication/authenticator.ts'
import { quote } from '../authentication/quote.ts'
import type { SourcePrefixes } from '../authentication/issued/issued.ts'
import type { ClaimMappings } from '../authentication/oidc/claim-mappings.ts'
import type { LogoutToken } from '../authentication/oidc/logout-token.ts'
import type { OidcSignIn } from '../authentication/oidc/oidc.ts'
import type { SignIn } from '../authentication/sign-in.ts'
import { unauthorized } from '../authentication/bearer.ts'
import { guardIdentity, rejected, type GuardOptions } from '../authentication/identity-guard.ts'
import { createSignInUnion } from '../authentication/union.ts'
import { checkVerdict } from '../authentication/x509/verdict.ts'
import type { CertificateService } from '../issuance/certificate-service.ts'
import { addressKey } from '../limits/address-key.ts'
import type { LockStore } from '../locks/store.ts'
import { createFailedSignIns } from '../limits/failed-sign-ins.ts'
import { createSharedFailedSignIns } from '../limits/shared-failed-sign-ins.ts'
import { peerChain } from '../listener/client-connection.ts'
import { createLogThrottle } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { createFailureGuard, type FailureGuard } from '../pipeline/failed-sign-ins.ts'
import type { Stages } from '../pipeline/handler-chain.ts'
import type { LiveRequests } from '../pipeline/live-requests.ts'
import { createDiscovery, type Discovery } from '../sign-in/discovery.ts'
import { createPages, type Pages } from '../sign-in/pages/pages.ts'
import type { ListenerTlsParts } from './listener-tls.ts'
import type { Loaded } from './load.ts'
import { startReloadable, type Reloadable } from './reloadable.ts'
import type { StartedSignIn } from './sign-ins.ts'
import { startSharedState, type SharedState, type SharedStateEffects } from './shared-state.ts'
import { openSinks } from './sinks.ts'
import { startLocks } from './start-locks.ts'
import {
  logoutClientsOf,
  startRevocations,
  withRevocations,
  type StartedRevocations,
} from './start-revocations.ts'
import { startSecurityEvents, type StartedSecurityEvents } from './start-security-events.ts'
import { startCluster, type StartedCluster } from './start-cluster.ts'

export interface BuildEffects {
  readonly log: Log
  readonly metrics: Metrics
  readonly live: LiveRequests
  readonly listenerTls: ListenerTlsParts
  readonly onPassword: SharedStateEffects['onPassword']
}

export interface Built extends StartedCluster {
  /** A reload replaces members. */
  readonly stages: { -readonly [Name in keyof Stages]: Stages[Name] }
  readonly signIns: readonly SignIn[]
  readonly discovery: Discovery
  readonly lockStore: LockStore
  readonly revocations: StartedRevocations
  /** Rejects with StatusError 401 for a token that is not valid, or not of an issuer that may send one. */
  readonly verifyLogoutToken: (token: string) => Promise<LogoutToken>
  /** Undefined without transmitters. */
  readonly securityEvents: StartedSecurityEvents | undefined
  readonly sharedState: SharedState
  /** Undefined without `signIn.pages`. */
  readonly pages: Pages | undefined
  /** Undefined: Gatehouse issues no certificates. */
  readonly certificates: CertificateService | undefined
  readonly refuse: FailureGuard['refuse']
}

const MAX_LOGGED_GROUPS = 10

/** @throws ConfigError when an audit sink cannot be opened */
export async function buildStages(loaded: Loaded, effects: BuildEffects): Promise<Built> {
  const { configuration } = loaded
  const { log, metrics, listenerTls } = effects

  const auditor = createAuditor(
    {
      sinks: openSinks(configuration.audit, log),
      onFailure: configuration.audit.onFailure,
      mode: configuration.audit.mode,
      unauthenticated: { ...configuration.audit.unauthenticated, addressKey },
    },
    { metrics, log },
  )
  const sharedState = await startSharedState(configuration, loaded.redis, {
    ...{ log, metrics },
    onPassword: effects.onPassword,
  })
  const { limiter, store } = sharedState
  const revocations = startRevocations(configuration, { ...effects, store })

  const { reloadables, ...inCluster } = startCluster(loaded, effects)
  const { cluster, reviewClient } = inCluster
  const discovery = createDiscovery(
    configuration.signIn,
    configuration.authentication.issuedCertificates,
  )
  const pages = startPages(loaded, { log, discovery, revocations })
  const logoutClients = logoutClientsOf(configuration)
  let verifyLogoutToken: OidcSignIn['verifyLogoutToken'] = () =>
    Promise.reject(unauthorized('no issuer is configured'))
  let clientCA = ''
  let issuers: ReadonlyMap<string, SourcePrefixes> = new Map()
  let certificates: CertificateService | undefined
  const started: readonly StartedSignIn[] = loaded.signIns.map((signIn) =>
    signIn.start(configuration.authentication, {
      log,
      metrics,
      reviewClient,
      proxyFor: loaded.proxyFor,
      trustClients(clientTrust) {
        listenerTls.updateClientTrust(clientTrust)
        clientCA = clientTrust.ca
      },
      clientCA: () => clientCA,
      trustIssued: (issuingCA) => listenerTls.updateIssuingCA(issuingCA),
      trustGeneration: () => listenerTls.generation(),
      chainOf: peerChain,
      publishIssuers(next, verify) {
        discovery.updateAuthentication(next)
        pages?.updateAuthentication(next)
        verifyLogoutToken = verify
        issuers = new Map(
          next.issuers.map(({ url, claimMappings }) => [url, prefixesOf(claimMappings)]),
        )
      },
      onLimited: (limit) => metrics.limited.inc({ limit }),
      issuerPrefixes: (url) => issuers.get(url),
      publishCertificates: (next) => (certificates = next),
      guardUser: (user, own) => guardNamed(user, own, signIns, configuration.authentication),
      onRevoked: (revoking) => recheckSignIn(revoking, () => signIns, effects),
    }),
  )
  const signIns: readonly SignIn[] = started.map(({ signIn }) => signIn)
  const union = createSignInUnion(
    { signIns, ...configuration.authentication },
    {
      onResult: (method, result) => metrics.authentications.inc({ method, result }),
      onGroupsDropped: warnOfDroppedGroups(log),
      checkCertificate(certificate) {
        // RFC 8705 section 6.2: that the client has the key is all that is needed of it.
        if (certificate.isSelfSigned) return
        checkVerdict(certificate, listenerTls.generation(), Date.now())
      },
    },
  )
  const { failedSignIns, maxTrackedKeys } = configuration.limits
  const counting = { ...failedSignIns, maxTrackedKeys }
  const now = (): number => performance.now()
  const failures =
    store === undefined
      ? createFailedSignIns(counting, { now })
      : createSharedFailedSignIns(counting, { store, now })
  const { authenticate, refuse } = createFailureGuard(
    { authenticate: union, failures, auditor },
    effects,
  )

  const {
    locks,
    lockStore,
    reloadables: lockFiles,
  } = startLocks(loaded, {
    ...effects,
    store,
  })
  const securityEvents =
    loaded.securityEvents &&
    startSecurityEvents(loaded.securityEvents, configuration.authentication, {
      ...{ log, metrics, auditor, lockStore },
      ...{ proxyFor: loaded.proxyFor, issuers: revocations.issuers },
    })
  const serving = startReloadable(loaded.certificates, (next) => listenerTls.updateServing(next))
  const optional: Reloadable[] = []
  if (loaded.servingCA !== undefined) {
    const update = (next: string): void => {
      discovery.updateServingCA(next)
      pages?.updateServingCA(next)
    }
    optional.push(startReloadable(loaded.servingCA, update))
  }
  if (loaded.pages !== undefined && pages !== undefined) {
    optional.push(startReloadable(loaded.pages, (next) => pages.updateSecrets(next)))
  }
  if (securityEvents !== undefined) optional.push(securityEvents.reloadable)
  return {
    stages: {
      ...{ auditor, limiter, authenticate, clusterOf: () => cluster },
      locks: withRevocations(locks, revocations.revocations),
    },
    ...inCluster,
    signIns,
    discovery,
    lockStore,
    revocations,
    securityEvents,
    verifyLogoutToken: (token) => verifyLogoutToken(token, logoutClients),
    sharedState,
    pages,
    certificates,
    refuse,
    reloadables: [
      ...[serving, ...optional, ...lockFiles],
      ...started.map(({ reloadable }) => reloadable),
      ...sharedState.reloadables,
      ...reloadables,
    ],
  }
}

function prefixesOf({ username, groups }: ClaimMappings): SourcePrefixes {
  return { username: username.prefix, groups: groups?.prefix }
}

function startPages(
  { configuration, proxyFor }: Loaded,
  {
    log,
    discovery,
    revocations,
  }: Pick<BuildEffects, 'log'> & Pick<Built, 'discovery' | 'revocations'>,
): Pages | undefined {
  const { pages, displayName, clusterName } = configuration.signIn
  if (pages === undefined) return undefined
  return createPages(
    { pages, displayName, clusterName },
    {
      ...{ log, proxyFor, methods: () => discovery.methods() },
      ended: { issuers: revocations.issuers, own: revocations.pages ?? revocations.issuers },
    },
  )
}

/** Each sign-in of such a user would log a line. */
function warnOfDroppedGroups(log: Log): (user: UserInfo, groups: readonly string[]) => void {
  const throttle = createLogThrottle({ interval: 60_000, lines: 10 })
  return ({ username }, groups) => {
    const suppressed = throttle('groups')
    if (suppressed === undefined) return
    log.warn(
      { username, groups: groups.slice(0, MAX_LOGGED_GROUPS).map(quote), suppressed },
      'dropped groups whose names cannot be sent to the API server; rename them at the issuer or CA',
    )
  }
}

/** As the union does for the users of a `SignIn`. @throws StatusError 403 */
function guardNamed(
  user: UserInfo,
  own: SignIn,
  signIns: readonly SignIn[],
  options: GuardOptions,
): UserInfo {
  for (const other of signIns) {
    const problem = other === own ? undefined : other.reserves(user)
    if (problem !== undefined) throw rejected(problem)
  }
  return guardIdentity(user, options)
}

/** Rechecks the requests that a method may no longer accept, or whose names it has come to reserve. */
function recheckSignIn(
  signIn: SignIn,
  signIns: () => readonly SignIn[],
  { live, log }: Pick<BuildEffects, 'live' | 'log'>,
): void {
  const ended = live.recheckSignIn(({ authentication, connection }) => {
    const own = signIns().find(({ method }) => method === authentication.method)
    // One whose names are of other methods depends on these.
    if (own === signIn || own?.namesAnyone === true) return own.recheck(authentication, connection)
    const binding =
      authentication.boundTo === undefined ? undefined : signIn.recheckBinding?.(connection)
    return signIn.reserves(authentication.user) ?? binding
  })
  if (ended > 0)
    log.info({ streams: ended }, 'ended streams whose credential is no longer accepted')
}

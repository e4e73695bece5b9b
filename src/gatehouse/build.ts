/** Configuration -> stages: the one file that knows every folder. Nothing listens yet. */
import { createAuditor } from '../audit/auditor.ts'
import type { AuditSink } from '../audit/record.ts'
import { createFileSink } from '../audit/sinks/file.ts'
import { createStdoutSink } from '../audit/sinks/stdout.ts'
import { createOidcAuthenticator, type OidcAuthenticator } from '../authentication/oidc/oidc.ts'
import { createUnion } from '../authentication/union.ts'
import type { ClientTrust } from '../authentication/x509/client-ca.ts'
import { createX509Authenticator } from '../authentication/x509/x509.ts'
import { ConfigError } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import { createMemoryLimiter } from '../limits/memory.ts'
import type { ServingCertificates } from '../listener/serving-certificates.ts'
import { buildListenerTls, type ListenerTls } from '../listener/tls.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Stages } from '../pipeline/handler-chain.ts'
import { createUpstream } from '../upstream/forward.ts'
import { IMPERSONATION, type IdentityNames } from '../upstream/identity.ts'
import type { Loaded } from './load.ts'

export interface BuildEffects {
  readonly log: Log
  readonly metrics: Metrics
  /** The loading of the client CA that is in force; the listener counts them. */
  readonly clientTrustGeneration: () => number
}

export interface Built {
  /** A reload replaces members. */
  readonly stages: { -readonly [Name in keyof Stages]: Stages[Name] }
  readonly oidc: OidcAuthenticator | undefined
}

/** @throws ConfigError when an audit sink cannot be opened */
export function buildStages(loaded: Loaded, effects: BuildEffects): Built {
  const { configuration } = loaded
  const { log, metrics } = effects

  const auditor = createAuditor({
    sinks: openSinks(configuration.audit, log),
    onFailure: configuration.audit.onFailure,
    metrics,
    log,
  })
  const limiter = createMemoryLimiter(configuration.limits, { metrics })

  const oidc =
    loaded.authentication === undefined
      ? undefined
      : createOidcAuthenticator(loaded.authentication, {
          log,
          tokenCacheSize: configuration.authentication.tokenCacheSize,
        })
  const authenticate = createUnion({
    x509:
      loaded.clientTrust === undefined
        ? undefined
        : createX509Authenticator({ generation: effects.clientTrustGeneration }),
    token: oidc === undefined ? undefined : (token) => oidc.authenticate(token),
    systemIdentities: configuration.authentication.systemIdentities,
    onResult: (method, result) => metrics.authentications.inc({ method, result }),
  })

  const upstream = createUpstream(
    {
      credential: loaded.credential,
      identity: identityNames(configuration.upstream.identity),
      limits: configuration.upstream.connections,
    },
    { log, metrics },
  )
  return {
    stages: { auditor, limiter, authenticate, authorize: loaded.rules.authorize, upstream },
    oidc,
  }
}

/**
 * The listener's TLS, of the configuration and what was loaded for it.
 *
 * @throws Error of OpenSSL, which loading the files has ruled out
 */
export function buildTls(
  { minVersion, cipherSuites }: Configuration['listener']['tls'],
  { serving, sni }: ServingCertificates,
  clientTrust: ClientTrust | undefined,
): ListenerTls {
  return buildListenerTls({ minVersion, cipherSuites, serving, sni, clientTrust })
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

function openSinks(audit: Configuration['audit'], log: Log): AuditSink[] {
  const sinks: AuditSink[] = []
  if (audit.file !== undefined) {
    try {
      sinks.push(createFileSink({ ...audit.file, log }))
    } catch (error) {
      throw new ConfigError([
        {
          file: audit.file.path,
          line: undefined,
          column: undefined,
          field: 'audit.file.path',
          message: (error as Error).message,
          fix: 'choose a path that Gatehouse may write',
        },
      ])
    }
  }
  if (audit.stdout?.enabled === true) sinks.push(createStdoutSink({ log }))
  return sinks
}

/**
 * The authentication methods: which field of `authentication` enables each, which files it is read
 * from and how it is created.
 */
import {
  loadAuthenticationConfiguration,
  type AuthenticationConfiguration,
} from '../authentication/oidc/authentication-config.ts'
import { accessFiles } from '../authentication/oidc/issuer-access.ts'
import { createOidcSignIn } from '../authentication/oidc/oidc.ts'
import type { SignIn } from '../authentication/sign-in.ts'
import { createTokenReviewSignIn } from '../authentication/token-review/token-review.ts'
import {
  authorityFiles,
  loadClientTrust,
  type ClientTrust,
  type ClientTrustFiles,
} from '../authentication/x509/client-ca.ts'
import { certificatePrefixes } from '../authentication/x509/client-ca.ts'
import { createX509SignIn } from '../authentication/x509/x509.ts'
import type { ConfigurationReading } from '../config/load.ts'
import { valueAt } from '../config/path.ts'
import { ConfigError } from '../config/problem.ts'
import type { SignInField } from '../config/schema/authentication.ts'
import { throttledLog } from '../log-throttle.ts'
import { reportClientTrust } from './certificate-report.ts'
import {
  findUnknownEventIssuers,
  findUnknownIssuers,
  findUnpublished,
  findUnusablePages,
  findUnusedMethods,
  findUnusedOptions,
  warnOfAccess,
  warnOfAdministrators,
} from './issuer-checks.ts'
import { directoryPrefixes, issuedCertificates } from './issued-certificates.ts'
import {
  startReloadable,
  type LoadedPart,
  type Part,
  type PartReport,
  type Reloadable,
} from './reloadable.ts'
import type { AuthenticationOptions, SignInEffects, SignInKind } from './sign-in-kind.ts'

/** A method that the configuration enables, its part loaded. */
export interface LoadedSignIn {
  /** `now` in milliseconds since the epoch. */
  report(now: number): PartReport
  /** Creates the method and puts its part into effect. */
  start(options: AuthenticationOptions, effects: SignInEffects): StartedSignIn
}

export interface StartedSignIn {
  readonly signIn: SignIn
  readonly reloadable: Reloadable
}

type LoadPart = <T>(part: Part<T> | undefined) => LoadedPart<T> | undefined

const x509: SignInKind<ClientTrust> = {
  part(reading) {
    const files = clientTrustFiles(reading)
    if (files === undefined) return undefined
    const { crlFile } = files
    const caFiles = authorityFiles(files).map(({ caFile }) => caFile)
    return {
      what: 'client CA',
      files: () => [...caFiles, ...(crlFile === undefined ? [] : [crlFile])],
      load: () => loadClientTrust(files),
      report: (trust, now) => reportClientTrust({ caFiles, crlFile }, trust, now),
    }
  },
  create({ x509: options }, { trustGeneration, chainOf, trustClients }) {
    const signIn = createX509SignIn(
      { frontProxy: options?.frontProxy },
      { generation: trustGeneration, chainOf },
    )
    const update = (next: ClientTrust): void => {
      trustClients(next)
      signIn.update(next)
    }
    return { signIn, update }
  },
}

/**
 * The files of client certificates; undefined if the configuration has none, or one that cannot be read.
 * Those of `clientCAFile` are checked even if the configuration has problems elsewhere.
 */
function clientTrustFiles({
  configuration,
  raw,
  fileAt,
}: ConfigurationReading): ClientTrustFiles | undefined {
  if (configuration !== undefined) return configuration.authentication.x509
  const clientCAFile = fileAt(['authentication', 'x509', 'clientCAFile'])
  const crlFile = fileAt(['authentication', 'x509', 'crlFile'])
  // Revocation lists are checked against all CAs.
  const isPlain = ['authorities', 'frontProxy'].every(
    (field) => valueAt(raw, ['authentication', 'x509', field]) === undefined,
  )
  return clientCAFile === undefined ? undefined : { clientCAFile, ...(isPlain ? { crlFile } : {}) }
}

type ServiceAccountOptions = NonNullable<AuthenticationOptions['serviceAccounts']>

const serviceAccounts: SignInKind<ServiceAccountOptions> = {
  part({ configuration }) {
    const options = configuration?.authentication.serviceAccounts
    if (options === undefined) return undefined
    return {
      what: 'service accounts',
      files: () => [],
      load: () => options,
      report: () => ({ warnings: [] }),
    }
  },
  create({ serviceAccounts: options }, { log, reviewClient, revoked }) {
    const { issuers = [], audiences = [] } = options ?? {}
    const signIn = createTokenReviewSignIn(
      { issuers, audiences },
      {
        reviewClient,
        clock: Date.now,
        onRevoked: revoked,
        onFailure: (problem) =>
          throttledLog(log).warn({ problem }, 'a service account token could not be reviewed'),
      },
    )
    return { signIn, update: () => undefined }
  },
}

const oidc: SignInKind<AuthenticationConfiguration> = {
  part(reading) {
    const file = reading.fileAt(['authentication', 'configFile'])
    if (file === undefined) return undefined
    const authentication = reading.configuration?.authentication
    const {
      issuers = [],
      issuedCertificates: issued,
      securityEvents = { transmitters: [] },
    } = authentication ?? {}
    const options = authentication && {
      issuers,
      certificatePrefixes: certificatePrefixes(authentication.x509),
      directoryPrefixes: directoryPrefixes(authentication.issuedCertificates),
      serviceAccountIssuers: authentication.serviceAccounts?.issuers ?? [],
    }
    const { methods = [], pages } = reading.configuration?.signIn ?? {}
    const unusedOptions = (of: AuthenticationConfiguration) => [
      ...findUnusedOptions(issuers, of, reading.source),
      ...findUnusedMethods({ methods, pages }, of, reading.source),
      ...findUnusablePages(pages, of, reading.source),
      ...findUnknownIssuers(issued, of, reading.source),
      ...findUnknownEventIssuers(securityEvents, of, reading.source),
    ]
    let isStart = true
    return {
      what: 'authentication configuration',
      files: () => [file, ...issuers.flatMap(accessFiles)],
      load() {
        const configuration = loadAuthenticationConfiguration(file, options)
        // At a reload they are only warned of: removing an issuer must not wait for a restart.
        const problems = isStart ? unusedOptions(configuration) : []
        if (problems.length > 0) throw new ConfigError(problems)
        isStart = false
        return configuration
      },
      report: (configuration) => ({
        warnings: [
          ...unusedOptions(configuration),
          ...findUnpublished({ methods, pages }, configuration, reading.source),
          ...warnOfAccess(issuers, configuration),
          ...(reading.configuration === undefined
            ? []
            : warnOfAdministrators(reading.configuration, configuration, reading.source)),
        ],
      }),
    }
  },
  create({ tokenCacheSize }, { log, metrics, proxyFor, revoked, publishIssuers }) {
    const signIn = createOidcSignIn(
      { tokenCacheSize, proxyFor },
      { log, metrics, onRevoked: revoked },
    )
    const update = (next: AuthenticationConfiguration): void => {
      signIn.update(next)
      publishIssuers(next, (token, clientsOf) => signIn.verifyLogoutToken(token, clientsOf))
    }
    return { signIn, update }
  },
}

type LoadSignIn = (reading: ConfigurationReading, load: LoadPart) => LoadedSignIn | undefined

/**
 * The methods by the field that enables each, in the order in which they are tried. OIDC comes last,
 * since it claims every token. A method of the schema that is missing here does not compile.
 */
const methods: Readonly<Record<SignInField, LoadSignIn>> = {
  x509: loaderOf(x509),
  issuedCertificates: loaderOf(issuedCertificates),
  serviceAccounts: loaderOf(serviceAccounts),
  configFile: loaderOf(oidc),
}

/** Loads the parts of all methods that the configuration enables, in the order above. */
export function loadSignIns(
  reading: ConfigurationReading,
  load: LoadPart,
): readonly LoadedSignIn[] {
  return Object.values(methods).flatMap((method) => method(reading, load) ?? [])
}

function loaderOf<T>(kind: SignInKind<T>): LoadSignIn {
  return (reading, load) => {
    const loaded = load(kind.part(reading))
    if (loaded === undefined) return undefined
    return {
      report: (now) => loaded.part.report(loaded.value, now),
      start(options, effects) {
        const revoked = (): void => effects.onRevoked(signIn)
        const { signIn, update } = kind.create(options, { ...effects, revoked })
        const reloadable = startReloadable(loaded, (next) => {
          update(next)
          revoked()
        })
        return { signIn, reloadable }
      },
    }
  }
}

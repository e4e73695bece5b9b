/**
 * Loads the configuration and every file that it names, and checks each. The problems of all of them
 * are reported together, so that a broken deployment can be fixed in one go.
 */
import type { LoadedRules } from '../authorization/rules/load.ts'
import type { UpstreamCredential } from '../cluster/credential.ts'
import { missingServiceAccount } from '../cluster/in-cluster.ts'
import { digestsOf, type FileDigests } from '../config/digests.ts'
import type { InClusterEnvironment } from '../config/environment.ts'
import { createProxyFor, type ProxyEnvironment, type ProxyFor } from '../config/egress-proxy.ts'
import { readConfiguration } from '../config/load.ts'
import type { Path } from '../config/path.ts'
import { ConfigError, type ConfigProblem } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import type { LoadedLocks } from '../locks/file.ts'
import type { ServingCertificates } from '../listener/serving-certificates.ts'
import type { RedisCredential } from '../state/redis-store.ts'
import type { PagesSecrets } from '../sign-in/pages/secrets.ts'
import type { LoadedTransmitter } from '../security-events/transmitters.ts'
import { checkIssuingAuthority } from './issuing-authority.ts'
import { lockFilePart, pagesPart, rulesPart, servingCAPart } from './parts.ts'
import type { LoadedPart, Part, PartReport } from './reloadable.ts'
import { checkRedisFiles, redisPart } from './shared-state.ts'
import { securityEventsPart } from './start-security-events.ts'
import { loadSignIns, type LoadedSignIn } from './sign-ins.ts'
import { checkServingPairs, checkSuites, servingPart } from './serving-part.ts'
import { credentialPart, upstreamSourceOf } from './upstream-part.ts'

export interface Loaded {
  readonly configuration: Configuration
  readonly certificates: LoadedPart<ServingCertificates>
  /** In the order in which they judge credentials. */
  readonly signIns: readonly LoadedSignIn[]
  /** What the discovery document publishes; undefined without `signIn.caFile`. */
  readonly servingCA: LoadedPart<string> | undefined
  /** Undefined without `locks.file`. */
  readonly lockFile: LoadedPart<LoadedLocks> | undefined
  /** Undefined without `signIn.pages`. */
  readonly pages: LoadedPart<PagesSecrets> | undefined
  readonly rules: LoadedPart<LoadedRules>
  readonly credential: LoadedPart<UpstreamCredential>
  /** Undefined without Redis. */
  readonly redis: LoadedPart<RedisCredential> | undefined
  /** Undefined without transmitters of security events. */
  readonly securityEvents: LoadedPart<readonly LoadedTransmitter[]> | undefined
  /** Settings of all files that are valid but probably not intended. */
  readonly warnings: readonly ConfigProblem[]
  /** What the files held before they were read, so that the watcher sees every later change. */
  readonly digests: FileDigests
  /** For connections to issuers. */
  readonly proxyFor: ProxyFor
}

/** What the environment of the process says. */
export interface LoadEnvironment {
  readonly inCluster: InClusterEnvironment
  /** No proxy by default. */
  readonly proxy?: ProxyEnvironment
}

/**
 * Loads everything.
 *
 * @throws ConfigError with the problems of all files
 */
export function loadAll(configFile: string, environment: LoadEnvironment): Loaded {
  const parts = loadParts(configFile, environment, { needsPod: true })
  const { configuration, certificates, rules, credential, problems } = parts
  if (problems.length > 0 || !configuration || !certificates || !rules || !credential) {
    throw new ConfigError(problems)
  }
  return { ...parts, configuration, certificates, rules, credential }
}

/**
 * Loads everything but a pod's service account where there is none: a configuration for a cluster can
 * be checked before it gets there. A warning says what was not checked.
 *
 * @returns the warnings
 * @throws ConfigError with the problems of all files
 */
export function checkAll(
  configFile: string,
  environment: LoadEnvironment,
): readonly ConfigProblem[] {
  const { problems, warnings } = loadParts(configFile, environment, { needsPod: false })
  if (problems.length > 0) throw new ConfigError(problems)
  return warnings
}

/** Everything that could be loaded; what is undefined is a problem, or was not wanted. */
interface Parts extends Pick<
  Loaded,
  | 'signIns'
  | 'servingCA'
  | 'pages'
  | 'lockFile'
  | 'redis'
  | 'securityEvents'
  | 'warnings'
  | 'digests'
  | 'proxyFor'
> {
  readonly configuration: Configuration | undefined
  readonly certificates: LoadedPart<ServingCertificates> | undefined
  readonly rules: LoadedPart<LoadedRules> | undefined
  readonly credential: LoadedPart<UpstreamCredential> | undefined
  readonly problems: readonly ConfigProblem[]
}

function loadParts(
  configFile: string,
  { inCluster, proxy }: LoadEnvironment,
  { needsPod }: { readonly needsPod: boolean },
): Parts {
  const reading = readConfiguration(configFile)
  const { configuration, fileAt } = reading
  const digests = digestsOf(reading.files)
  const problems = [...reading.problems, ...checkSuites(reading)]
  // If the configuration itself has problems, the files that it names are still checked.
  const load = <T>(part: Part<T> | undefined): LoadedPart<T> | undefined => {
    if (part === undefined) return undefined
    try {
      return { part, value: part.load() }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems.map(reading.place))
      return undefined
    }
  }

  const loadFile = <T>(
    path: Path,
    partOf: (file: string) => Part<T>,
  ): LoadedPart<T> | undefined => {
    const file = fileAt(path)
    return load(file === undefined ? undefined : partOf(file))
  }

  const rules = loadFile(['authorization', 'rulesFile'], (file) => rulesPart(file, reading))
  const signIns = loadSignIns(reading, load)
  const servingCA = loadFile(['signIn', 'caFile'], servingCAPart)
  const pages = load(pagesPart(reading))
  const lockFile = loadFile(['locks', 'file'], lockFilePart)
  const certificates = load(configuration && servingPart(configuration, reading))
  if (configuration === undefined) {
    problems.push(...checkServingPairs(reading).map(reading.place))
    problems.push(...checkRedisFiles(reading).map(reading.place))
  }
  const source = upstreamSourceOf(reading, inCluster)
  const missing =
    needsPod || source === undefined || !('inCluster' in source)
      ? undefined
      : missingServiceAccount(source.inCluster)
  const credential = load(
    source && missing === undefined ? credentialPart(source, digests) : undefined,
  )
  const redis = load(configuration && redisPart(configuration.state))
  const securityEvents = load(securityEventsPart(reading))

  problems.push(...checkIssuingAuthority(reading, credential?.value).map(reading.place))
  const now = Date.now()
  const found = [
    ...reportOf(rules, now),
    ...reportOf(certificates, now),
    ...reportOf(lockFile, now),
    ...signIns.flatMap((signIn) => signIn.report(now).warnings),
    ...reportOf(credential, now),
    ...reportOf(redis, now),
    ...reportOf(securityEvents, now),
    ...reportOf(pages, now),
    ...(missing === undefined ? [] : [missing]),
  ]
  const warnings = [...reading.warnings, ...found.map(reading.place)]
  const proxyFor = loadProxy(proxy, problems)
  const parts = {
    configuration,
    certificates,
    signIns,
    servingCA,
    pages,
    lockFile,
    rules,
    credential,
    redis,
    securityEvents,
  }
  return { ...parts, problems, warnings, digests, proxyFor }
}

function loadProxy(environment: ProxyEnvironment | undefined, problems: ConfigProblem[]): ProxyFor {
  if (environment === undefined) return () => undefined
  try {
    return createProxyFor(environment)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    problems.push(...error.problems)
    return () => undefined
  }
}

function reportOf<T>(loaded: LoadedPart<T> | undefined, now: number): PartReport['warnings'] {
  return loaded === undefined ? [] : loaded.part.report(loaded.value, now).warnings
}

/**
 * Loads the configuration and every file that it names, and checks each. The problems of all of them
 * are reported together, so that a broken deployment can be fixed in one go.
 */
import { loadRules, type LoadedRules } from '../authorization/rules/load.ts'
import type { UpstreamCredential } from '../cluster/credential.ts'
import { missingServiceAccount } from '../cluster/in-cluster.ts'
import { loadUpstreamCredential, type UpstreamSource } from '../cluster/load.ts'
import { digestsOf, type FileDigests } from '../config/digests.ts'
import type { InClusterEnvironment } from '../config/environment.ts'
import { createProxyFor, type ProxyEnvironment, type ProxyFor } from '../config/egress-proxy.ts'
import { readConfiguration, type ConfigurationReading } from '../config/load.ts'
import { fieldName, valueAt, type Path } from '../config/path.ts'
import { readText } from '../config/read-text.ts'
import { ConfigError, type ConfigProblem } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import type { Source } from '../config/document.ts'
import { loadLockFile, type LoadedLocks } from '../locks/file.ts'
import { checkCipherSuites } from '../listener/cipher-suites.ts'
import {
  checkServingPair,
  loadServingCertificates,
  type ServingCertificates,
} from '../listener/serving-certificates.ts'
import { servingNames } from '../listener/tls.ts'
import { loadServingCA } from '../sign-in/serving-ca.ts'
import type { RedisCredential } from '../state/redis-store.ts'
import { loadPagesSecrets, SECRET_FIELDS, type PagesSecrets } from '../sign-in/pages/secrets.ts'
import { reportServing, reportUpstream, warnOfReaders } from './certificate-report.ts'
import { checkIssuingCA } from './issued-certificates.ts'
import type { LoadedPart, Part, PartReport } from './reloadable.ts'
import { redisPart } from './shared-state.ts'
import { loadSignIns, type LoadedSignIn } from './sign-ins.ts'
import { readSubjectNames } from './subject-names.ts'

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
  'signIns' | 'servingCA' | 'pages' | 'lockFile' | 'redis' | 'warnings' | 'digests' | 'proxyFor'
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

  problems.push(...checkCertificateAuthority(reading, credential).map(reading.place))
  const now = Date.now()
  const found = [
    ...reportOf(rules, now),
    ...reportOf(certificates, now),
    ...reportOf(lockFile, now),
    ...signIns.flatMap((signIn) => signIn.report(now).warnings),
    ...reportOf(credential, now),
    ...reportOf(redis, now),
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

/** At a reload, issuance/authority-check.ts refuses to issue. */
function checkCertificateAuthority(
  { raw, fileAt }: ConfigurationReading,
  credential: LoadedPart<UpstreamCredential> | undefined,
): readonly ConfigProblem[] {
  const caFile = fileAt(['authentication', 'issuedCertificates', 'caFile'])
  if (caFile === undefined) return []
  const x509: Path = ['authentication', 'x509']
  const authorities = valueAt(raw, [...x509, 'authorities'])
  const clientCAs: Path[] = [
    [...x509, 'clientCAFile'],
    ...Array.from(Array.isArray(authorities) ? authorities : [], (_, i) => [
      ...[...x509, 'authorities', i, 'caFile'],
    ]),
  ]
  return checkIssuingCA(caFile, [
    ...clientCAs.map((path) => ({ what: fieldName(path), bundle: textOf(fileAt(path)) })),
    {
      what: 'the CA of the API server in upstream',
      bundle: credential?.value.endpoint.tls.ca ?? '',
    },
  ])
}

/** Empty for a file that cannot be read, which is reported by itself. */
function textOf(file: string | undefined): string {
  return file === undefined ? '' : (readText(file, () => undefined) ?? '')
}

function rulesPart(file: string, reading: ConfigurationReading): Part<LoadedRules> {
  return {
    what: 'rules',
    files: () => [file],
    load: (current) => loadRules(file, current),
    report({ warnings, warnOfSubjects }) {
      const names = readSubjectNames(reading)
      return { warnings: names === undefined ? warnings : [...warnings, ...warnOfSubjects(names)] }
    },
  }
}

function servingCAPart(file: string): Part<string> {
  return {
    what: 'serving CA',
    files: () => [file],
    load: () => loadServingCA(file),
    report: () => ({ warnings: [] }),
  }
}

function lockFilePart(file: string): Part<LoadedLocks> {
  return {
    what: 'locks',
    files: () => [file],
    load: () => loadLockFile(file),
    report: ({ warnings }, now) => ({ warnings: warnings(now) }),
  }
}

function pagesPart({ raw, fileAt }: ConfigurationReading): Part<PagesSecrets> | undefined {
  if (valueAt(raw, ['signIn', 'pages']) === undefined) return undefined
  const found = SECRET_FIELDS.flatMap((field) => {
    const file = fileAt(['signIn', 'pages', field])
    return file === undefined ? [] : [[field, file] as const]
  })
  const files = found.map(([, file]) => file)
  return {
    what: 'sign-in pages',
    files: () => files,
    load: () => loadPagesSecrets(Object.fromEntries(found)),
    report: () => ({ warnings: warnOfReaders(files) }),
  }
}

function servingPart(
  { listener: { tls }, signIn }: Configuration,
  { source }: ConfigurationReading,
): Part<ServingCertificates> {
  const pairs = [tls, ...tls.sniCertificates]
  return {
    what: 'serving certificates',
    files: () => pairs.flatMap(({ certFile, privateKeyFile }) => [certFile, privateKeyFile]),
    load: () => loadServingCertificates(tls),
    report(certificates, now) {
      const report = reportServing(tls, certificates, now)
      const unnamed = findUnnamedPages(signIn, certificates, source)
      return { ...report, warnings: [...report.warnings, ...unnamed] }
    },
  }
}

/** Browsers would not trust the pages. */
function findUnnamedPages(
  { pages }: Configuration['signIn'],
  { serving, sni }: ServingCertificates,
  source: Source,
): ConfigProblem[] {
  if (pages === undefined) return []
  const host = new URL(pages.url).hostname.replace(/^\[|\]$/g, '')
  if (servingNames([serving, ...sni])(host)) return []
  const message = `no serving certificate has the name ${JSON.stringify(host)}`
  const fix = 'add it to the certificate, or to listener.tls.sniCertificates'
  return [source.problem(['signIn', 'pages', 'url'], message, fix)]
}

function credentialPart(source: UpstreamSource, digests: FileDigests): Part<UpstreamCredential> {
  return {
    what: 'upstream credential',
    files: ({ files }) => files,
    load: () => loadCredential(source, digests),
    report: reportUpstream,
  }
}

/** Loads a second time when the kubeconfig names files whose content was not recorded before. */
function loadCredential(source: UpstreamSource, digests: FileDigests): UpstreamCredential {
  const credential = loadUpstreamCredential(source)
  return digests.add(credential.files) ? loadUpstreamCredential(source) : credential
}

function checkServingPairs({ raw, fileAt }: ConfigurationReading): ConfigProblem[] {
  const sni = valueAt(raw, ['listener', 'tls', 'sniCertificates'])
  const pairs: Path[] = [
    ['listener', 'tls'],
    ...Array.from(Array.isArray(sni) ? sni : [], (_, i) => [
      'listener',
      'tls',
      'sniCertificates',
      i,
    ]),
  ]
  return pairs.flatMap((path) => {
    const certFile = fileAt([...path, 'certFile'])
    const privateKeyFile = fileAt([...path, 'privateKeyFile'])
    return checkServingPair(path, {
      ...(certFile === undefined ? {} : { certFile }),
      ...(privateKeyFile === undefined ? {} : { privateKeyFile }),
    })
  })
}

/** As `upstreamSource`, of a configuration that may have problems elsewhere. */
function upstreamSourceOf(
  { configuration, raw, fileAt }: ConfigurationReading,
  inCluster: InClusterEnvironment,
): UpstreamSource | undefined {
  if (configuration !== undefined) return upstreamSource(configuration, inCluster)
  const kubeconfig = fileAt(['upstream', 'kubeconfig'])
  if (kubeconfig === undefined) return undefined
  const context = valueAt(raw, ['upstream', 'context'])
  return { kubeconfig, context: typeof context === 'string' ? context : undefined }
}

function checkSuites(reading: ConfigurationReading): ConfigProblem[] {
  const { raw, source } = reading
  const names = valueAt(raw, ['listener', 'tls', 'cipherSuites'])
  return Array.isArray(names) ? checkCipherSuites(names, source) : []
}

/** Where Gatehouse's own credential comes from. */
function upstreamSource(
  { upstream }: Configuration,
  inCluster: InClusterEnvironment,
): UpstreamSource {
  return upstream.kubeconfig === undefined
    ? { inCluster }
    : { kubeconfig: upstream.kubeconfig, context: upstream.context }
}

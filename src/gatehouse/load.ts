/**
 * The configuration with every file that it names, each checked. Problems of all of them come
 * together, so that a broken deployment is fixed in one go.
 */
import {
  loadAuthenticationConfiguration,
  type AuthenticationConfiguration,
} from '../authentication/oidc/authentication-config.ts'
import { loadClientTrust, type ClientTrust } from '../authentication/x509/client-ca.ts'
import { loadRules, type LoadedRules } from '../authorization/rules/load.ts'
import type { UpstreamCredential } from '../cluster/credential.ts'
import { loadUpstreamCredential, type UpstreamSource } from '../cluster/load.ts'
import { digestsOf, type FileDigests } from '../config/digests.ts'
import type { InClusterEnvironment } from '../config/environment.ts'
import { readConfiguration, type ConfigurationReading } from '../config/load.ts'
import { valueAt, type Path } from '../config/path.ts'
import { ConfigError, type ConfigProblem } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import { checkCipherSuites } from '../listener/cipher-suites.ts'
import {
  checkServingPair,
  loadServingCertificates,
  type ServingCertificates,
} from '../listener/serving-certificates.ts'
import {
  reportClientTrust,
  reportServing,
  reportUpstream,
  type CertificateReport,
} from './certificate-report.ts'

export interface Loaded {
  readonly configuration: Configuration
  readonly certificates: ServingCertificates
  readonly clientTrust: ClientTrust | undefined
  readonly authentication: AuthenticationConfiguration | undefined
  readonly rules: LoadedRules
  readonly credential: UpstreamCredential
  /** What works, but perhaps not as meant; of all files. */
  readonly warnings: readonly ConfigProblem[]
  /** What the files held before they were read, for the watcher: later changes are news. */
  readonly digests: FileDigests
}

/**
 * Loads everything.
 *
 * @throws ConfigError with the problems of all files
 */
export function loadAll(configFile: string, inCluster: InClusterEnvironment): Loaded {
  const reading = readConfiguration(configFile)
  const { configuration, fileAt } = reading
  const digests = digestsOf(reading.files)
  const problems = [...reading.problems, ...checkSuites(reading)]
  const attempt = <T>(load: () => T): T | undefined => {
    try {
      return load()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems.map(reading.place))
      return undefined
    }
  }
  // Where the configuration itself is broken, what it names is still looked at, file by file.
  const ifThere = <T>(field: Path, load: (file: string) => T): T | undefined => {
    const file = fileAt(field)
    return file === undefined ? undefined : attempt(() => load(file))
  }

  const rules = ifThere(['authorization', 'rulesFile'], loadRules)
  const authentication = ifThere(['authentication', 'configFile'], loadAuthenticationConfiguration)
  const clientTrust = ifThere(['authentication', 'x509', 'clientCAFile'], (clientCAFile) =>
    loadClientTrust(clientCAFile, fileAt(['authentication', 'x509', 'crlFile'])),
  )
  const certificates =
    configuration === undefined
      ? void problems.push(...checkServingPairs(reading).map(reading.place))
      : attempt(() => loadServingCertificates(configuration.listener.tls))
  const source = upstreamSourceOf(reading, inCluster)
  const credential = source && attempt(() => loadCredential(source, digests))

  if (problems.length > 0 || !configuration || !certificates || !rules || !credential) {
    throw new ConfigError(problems)
  }
  const parts = { configuration, certificates, clientTrust, credential }
  const ofCertificates = reportCertificates(parts, Date.now()).flatMap((report) => report.warnings)
  const warnings = [...reading.warnings, ...rules.warnings, ...ofCertificates.map(reading.place)]
  return { ...parts, authentication, rules, warnings, digests }
}

type CertificateParts = Pick<
  Loaded,
  'configuration' | 'certificates' | 'clientTrust' | 'credential'
>

/** Of all certificates that were loaded. `now` in milliseconds since the epoch. */
export function reportCertificates(
  { configuration, certificates, clientTrust, credential }: CertificateParts,
  now: number,
): readonly CertificateReport[] {
  const { x509 } = configuration.authentication
  return [
    reportServing(configuration.listener.tls, certificates, now),
    ...(x509 && clientTrust ? [reportClientTrust(x509, clientTrust, now)] : []),
    reportUpstream(credential, now),
  ]
}

/** Loaded once more when it led to files that were not looked at before they were read. */
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

/** As `upstreamSource`, of a configuration that may be broken elsewhere. */
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

/** Where the configuration says that Gatehouse's own credential is. */
export function upstreamSource(
  { upstream }: Configuration,
  inCluster: InClusterEnvironment,
): UpstreamSource {
  return upstream.kubeconfig === undefined
    ? { inCluster }
    : { kubeconfig: upstream.kubeconfig, context: upstream.context }
}

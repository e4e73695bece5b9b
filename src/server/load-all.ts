/**
 * The configuration with every file that it names, each checked. Problems of all of them come
 * together, so that a broken deployment is mended in one go.
 */
import { existsSync } from 'node:fs'

import {
  loadAuthenticationConfiguration,
  type AuthenticationConfiguration,
} from '../authentication/authentication-config.ts'
import { loadClientTrust, type ClientTrust } from '../authentication/client-ca.ts'
import { loadRules, type LoadedRules } from '../authorization/rules/load.ts'
import type { InClusterEnvironment } from '../config/environment.ts'
import { readConfiguration, type ConfigurationReading } from '../config/load.ts'
import { valueAt } from '../config/issues.ts'
import { ConfigError, type ConfigProblem } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import {
  loadUpstreamCredential,
  type UpstreamCredential,
  type UpstreamSource,
} from '../upstream/credential.ts'
import {
  checkCipherSuites,
  loadServingCertificates,
  type ServingCertificates,
} from './certificates.ts'

export interface Loaded {
  readonly configuration: Configuration
  readonly certificates: ServingCertificates
  readonly clientTrust: ClientTrust | undefined
  readonly authentication: AuthenticationConfiguration | undefined
  readonly rules: LoadedRules
  readonly credential: UpstreamCredential
}

/**
 * Loads everything.
 *
 * @throws ConfigError with the problems of all files
 */
export function loadAll(configFile: string, inCluster: InClusterEnvironment): Loaded {
  const reading = readConfiguration(configFile)
  const { configuration } = reading
  const problems = [...reading.problems, ...checkSuites(reading)]
  const attempt = <T>(load: () => T): T | undefined => {
    try {
      return load()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems)
      return undefined
    }
  }
  // Where the configuration itself is broken, what it names is still looked at, file by file.
  const ifThere = <T>(field: readonly string[], load: (file: string) => T): T | undefined => {
    const file = reading.fileAt(field)
    return file !== undefined && existsSync(file) ? attempt(() => load(file)) : undefined
  }

  const rules = ifThere(['authorization', 'rulesFile'], loadRules)
  const authentication = ifThere(['authentication', 'configFile'], loadAuthenticationConfiguration)
  const clientTrust = ifThere(['authentication', 'x509', 'clientCAFile'], (clientCAFile) =>
    loadClientTrust(clientCAFile, reading.fileAt(['authentication', 'x509', 'crlFile'])),
  )
  const certificates =
    configuration && attempt(() => loadServingCertificates(configuration.listener.tls))
  const credential =
    configuration && attempt(() => loadUpstreamCredential(upstreamSource(configuration, inCluster)))

  if (problems.length > 0 || !configuration || !certificates || !rules || !credential) {
    throw new ConfigError(problems)
  }
  return { configuration, certificates, clientTrust, authentication, rules, credential }
}

function checkSuites(reading: ConfigurationReading): ConfigProblem[] {
  const { configuration, source } = reading
  const names = valueAt(configuration, ['listener', 'tls', 'cipherSuites'])
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

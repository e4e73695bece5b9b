/** What kubectl and client-go tell a credential plugin: the variable `KUBERNETES_EXEC_INFO`. */
import { ClientFailure } from '../failure.ts'

/** client.authentication.k8s.io `Cluster`, for `provideClusterInfo: true`. */
export interface ClusterInfo {
  readonly server: string
  /** Base64 of PEM; empty for the CAs that this machine trusts. */
  readonly certificateAuthorityData: string
}

export interface ExecInfo {
  readonly apiVersion: string
  /** Whether the plugin may use standard input; false for editors, dashboards and pipes. */
  readonly interactive: boolean
  readonly cluster: ClusterInfo
}

const API_VERSIONS: readonly unknown[] = [
  'client.authentication.k8s.io/v1',
  'client.authentication.k8s.io/v1beta1',
]

/**
 * Reads the variable.
 *
 * @throws ClientFailure when it is not an ExecCredential of a known version, has no cluster, or the
 * client would not verify the server
 */
export function parseExecInfo(text: string): ExecInfo {
  const info = objectOf(parsed(text))
  const { apiVersion, kind } = info
  if (kind !== 'ExecCredential' || !API_VERSIONS.includes(apiVersion)) {
    throw new ClientFailure(
      'usage',
      `KUBERNETES_EXEC_INFO has an unknown version (${JSON.stringify(apiVersion)}): write ` +
        `apiVersion: ${String(API_VERSIONS[0])} into the exec section of the kubeconfig`,
    )
  }
  const spec = objectOf(info['spec'])
  return {
    apiVersion: apiVersion as string,
    interactive: spec['interactive'] === true,
    cluster: clusterInfo(spec['cluster']),
  }
}

function clusterInfo(value: unknown): ClusterInfo {
  const cluster = objectOf(value)
  const { server } = cluster
  if (typeof server !== 'string') {
    throw new ClientFailure(
      'usage',
      'the client does not say for which server it needs a token: write provideClusterInfo: true ' +
        'into the exec section of the kubeconfig',
    )
  }
  if (cluster['insecure-skip-tls-verify'] === true) {
    throw new ClientFailure(
      'untrusted',
      `no token is given for ${server}: its kubeconfig has insecure-skip-tls-verify: remove it`,
    )
  }
  const serverName = cluster['tls-server-name']
  if (typeof serverName === 'string' && serverName !== '' && serverName !== hostOf(server)) {
    throw new ClientFailure(
      'untrusted',
      `no token is given for ${server}: its kubeconfig has tls-server-name, which names another server`,
    )
  }
  const data = cluster['certificate-authority-data']
  return { server, certificateAuthorityData: typeof data === 'string' ? data : '' }
}

function hostOf(server: string): string {
  return URL.canParse(server) ? new URL(server).hostname : ''
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new ClientFailure('usage', 'KUBERNETES_EXEC_INFO is not JSON')
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

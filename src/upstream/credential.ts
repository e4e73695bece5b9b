/** Gatehouse's own way to the API server: endpoint and credential. */
import { loadInCluster, type InCluster } from './in-cluster.ts'
import { loadKubeconfig } from './kubeconfig.ts'
import type { UpstreamEndpoint } from './transport.ts'

export interface UpstreamCredential {
  readonly endpoint: UpstreamEndpoint
  /** Bearer token, without the scheme; undefined when the client certificate is the credential. */
  readonly token: string | undefined
  /** Files whose change makes this stale. */
  readonly files: readonly string[]
}

export type UpstreamSource =
  | { readonly kubeconfig: string; readonly context: string | undefined }
  | { readonly inCluster: InCluster }

/**
 * Loads endpoint and credential.
 *
 * @throws ConfigError with every problem found
 */
export function loadUpstreamCredential(source: UpstreamSource): UpstreamCredential {
  return 'inCluster' in source ? loadInCluster(source.inCluster) : loadKubeconfig(source)
}

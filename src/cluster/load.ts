import type { UpstreamCredential } from './credential.ts'
import { loadInCluster, type InCluster } from './in-cluster.ts'
import { loadKubeconfig } from './kubeconfig.ts'

export type UpstreamSource =
  | { readonly kubeconfig: string; readonly context: string | undefined }
  | { readonly inCluster: InCluster }

/**
 * Loads the endpoint and the credential.
 *
 * @throws ConfigError with every problem found
 */
export function loadUpstreamCredential(source: UpstreamSource): UpstreamCredential {
  return 'inCluster' in source ? loadInCluster(source.inCluster) : loadKubeconfig(source)
}

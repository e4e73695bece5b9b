import { writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import type { Endpoint } from './api-client.ts'

/** The members of a kubeconfig that differ, in client-go's words (clientcmd/api/v1). */
export interface KubeconfigOptions {
  readonly cluster: Readonly<Record<string, string>>
  readonly user: Readonly<Record<string, string>>
  /** The namespace of the context. Default: none, which clients read as `default`. */
  readonly namespace?: string
  /** The name of the cluster and of the context. */
  readonly clusterName?: string
  readonly userName?: string
}

/** A kubeconfig with one cluster, one user and one context, as YAML. */
export function formatKubeconfig(options: KubeconfigOptions): string {
  const { cluster, user, namespace, clusterName = 'gatehouse', userName = 'user' } = options
  const context = {
    cluster: clusterName,
    user: userName,
    ...(namespace === undefined ? {} : { namespace }),
  }
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: clusterName, cluster }],
    users: [{ name: userName, user }],
    contexts: [{ name: clusterName, context }],
    'current-context': clusterName,
  }
  return stringify(kubeconfig, { lineWidth: 0 })
}

/** Writes a kubeconfig that names its files by path, readable by its owner only; returns its path. */
export async function writeKubeconfig(file: string, endpoint: Endpoint): Promise<string> {
  const text = formatKubeconfig({
    cluster: { server: endpoint.url, 'certificate-authority': endpoint.caFile },
    user: { 'client-certificate': endpoint.certFile, 'client-key': endpoint.keyFile },
    clusterName: 'control-plane',
  })
  await writeFile(file, text, { mode: 0o600 })
  return file
}

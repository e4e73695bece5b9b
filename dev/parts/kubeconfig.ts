import { writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import type { Endpoint } from './api-client.ts'

/** Writes a kubeconfig with one context, which names its files by path, and returns its own path. */
export async function writeKubeconfig(file: string, endpoint: Endpoint): Promise<string> {
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'control-plane',
        cluster: { server: endpoint.url, 'certificate-authority': endpoint.caFile },
      },
    ],
    users: [
      {
        name: 'user',
        user: { 'client-certificate': endpoint.certFile, 'client-key': endpoint.keyFile },
      },
    ],
    contexts: [{ name: 'default', context: { cluster: 'control-plane', user: 'user' } }],
    'current-context': 'default',
  }
  await writeFile(file, stringify(kubeconfig), { mode: 0o600 })
  return file
}

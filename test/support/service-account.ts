import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { ControlPlane } from '../../dev/parts/control-plane.ts'
import type { Kubectl } from './kubectl.ts'

/**
 * Writes a kubeconfig with what a pod of deploy/kubernetes has: a token of Gatehouse's service account
 * for the API server, and its CA. `admin` has applied the manifests. Returns the kubeconfig's path.
 */
export async function writeServiceAccountKubeconfig(
  { url, caFile, directory }: ControlPlane,
  admin: Kubectl,
): Promise<string> {
  const token = await admin(['-n', 'gatehouse', 'create', 'token', 'gatehouse'])
  if (token.code !== 0) throw new Error(token.stderr)
  const cluster = { server: url, 'certificate-authority': caFile }
  const file = join(directory, 'gatehouse.kubeconfig')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'upstream', cluster }],
    users: [{ name: 'gatehouse', user: { token: token.stdout.trim() } }],
    contexts: [{ name: 'upstream', context: { cluster: 'upstream', user: 'gatehouse' } }],
    'current-context': 'upstream',
  }
  await writeFile(file, stringify(config), { mode: 0o600 })
  return file
}

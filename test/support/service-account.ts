import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { ControlPlane } from '../../dev/parts/control-plane.ts'
import type { Kubectl } from './kubectl.ts'

/** Paths of a kubeconfig and of the token that it names by file. */
export interface ServiceAccountFiles {
  readonly kubeconfig: string
  readonly tokenFile: string
}

/**
 * Writes what a pod of deploy/kubernetes has: a token of Gatehouse's service account, as a file, and
 * the API server's CA, in a kubeconfig. `admin` has applied the manifests. Throws when there is no
 * such service account.
 */
export async function writeServiceAccountKubeconfig(
  { url, caFile, directory }: ControlPlane,
  admin: Kubectl,
): Promise<ServiceAccountFiles> {
  const token = await admin(['-n', 'gatehouse', 'create', 'token', 'gatehouse'])
  if (token.code !== 0) throw new Error(token.stderr)
  const tokenFile = join(directory, 'gatehouse.token')
  const kubeconfig = join(directory, 'gatehouse.kubeconfig')
  const cluster = { server: url, 'certificate-authority': caFile }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'upstream', cluster }],
    users: [{ name: 'gatehouse', user: { tokenFile } }],
    contexts: [{ name: 'upstream', context: { cluster: 'upstream', user: 'gatehouse' } }],
    'current-context': 'upstream',
  }
  await writeFile(tokenFile, token.stdout.trim(), { mode: 0o600 })
  await writeFile(kubeconfig, stringify(config), { mode: 0o600 })
  return { kubeconfig, tokenFile }
}

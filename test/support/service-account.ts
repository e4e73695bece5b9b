import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ControlPlane } from '../../dev/parts/control-plane.ts'
import { formatKubeconfig } from '../../dev/parts/kubeconfig.ts'
import type { Kubectl } from './kubectl.ts'

/** Paths of a kubeconfig and of the token file to which it refers. */
export interface ServiceAccountFiles {
  readonly kubeconfig: string
  readonly tokenFile: string
}

/**
 * Writes a kubeconfig with the credential of a pod of deploy/kubernetes: a token file of Gatehouse's
 * service account, and the API server's CA. `admin` must have applied the manifests. Throws when the
 * service account does not exist.
 */
export async function writeServiceAccountKubeconfig(
  { url, caFile, directory }: ControlPlane,
  admin: Kubectl,
): Promise<ServiceAccountFiles> {
  const token = await admin(['-n', 'gatehouse', 'create', 'token', 'gatehouse'])
  if (token.code !== 0) throw new Error(token.stderr)
  const tokenFile = join(directory, 'gatehouse.token')
  const kubeconfig = join(directory, 'gatehouse.kubeconfig')
  const text = formatKubeconfig({
    cluster: { server: url, 'certificate-authority': caFile },
    user: { tokenFile },
  })
  await writeFile(tokenFile, token.stdout.trim(), { mode: 0o600 })
  await writeFile(kubeconfig, text, { mode: 0o600 })
  return { kubeconfig, tokenFile }
}

/** Stand-in for kubelogin, the login plugin that the documents name: kubectl runs it as `kubectl oidc-login`. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Who signs in at the form of the identity provider, if it shows one. */
export interface LoginForm {
  readonly username: string
  readonly password: string
}

/** Installs the stand-in into a directory of the PATH. */
export async function installKubelogin(directory: string, form?: LoginForm): Promise<void> {
  const main = join(import.meta.dirname, 'kubelogin-main.ts')
  const settings = `KUBELOGIN_FORM='${JSON.stringify(form ?? {})}'`
  const program = `#!/bin/sh\n${settings} exec '${process.execPath}' '${main}' "$@"\n`
  await writeFile(join(directory, 'kubectl-oidc_login'), program, { mode: 0o700 })
}

import { readFileSync } from 'node:fs'

import { ClientFailure } from '../failure.ts'
import type { ClientHost } from '../host.ts'
import { argocdSecret, bearerToken } from '../kubeconfig/argocd-secret.ts'
import type { TrustedServer } from '../trust-server.ts'
import { entryName, type ServerOptions } from './login.ts'

export interface ArgocdOptions extends ServerOptions {
  readonly merge?: boolean
  /** The file with the token; `-` is standard input. */
  readonly tokenFile?: string
}

/** Options of `gatehouse kubeconfig` that mean nothing to Argo CD, which has no credential plugin. */
const MEANINGLESS = ['merge', 'account', 'method', 'device'] as const

/**
 * Prints the Secret by which Argo CD uses a cluster behind a Gatehouse. Argo CD signs in with a token of
 * a service account, so the Secret contains one.
 *
 * @throws ClientFailure for a token that cannot be read, or is not one
 */
export function printArgocdSecret(
  trusted: TrustedServer,
  options: ArgocdOptions,
  host: ClientHost,
): void {
  for (const name of MEANINGLESS) {
    if (options[name] !== undefined) {
      throw new ClientFailure('usage', `--${name} has no meaning for Argo CD: leave it out`)
    }
  }
  const { tokenFile, namespace = 'argocd' } = options
  if (tokenFile === undefined) {
    throw new ClientFailure(
      'usage',
      '--argocd needs --token-file FILE: the token of a service account, as "kubectl create token" prints it',
    )
  }
  const content = contentOf(tokenFile)
  const found = bearerToken(content)
  if (found === undefined) {
    throw new ClientFailure('usage', `${tokenFile} does not contain one token`)
  }
  const { token, expiresAt } = found
  if (expiresAt !== undefined) {
    if (expiresAt <= Date.now()) {
      throw new ClientFailure('usage', `the token in ${tokenFile} has expired: create another one`)
    }
    const end = new Date(expiresAt).toISOString()
    host.writeError(`The token expires at ${end}: replace the Secret before then.\n`)
  }
  const { server } = trusted
  host.writeOut(argocdSecret({ name: entryName(trusted, options), server, namespace, token }))
}

function contentOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new ClientFailure('usage', `cannot read --token-file: ${(error as Error).message}`)
  }
}

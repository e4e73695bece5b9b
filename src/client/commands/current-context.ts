/** What a command without a URL is about: the Gatehouse of the current context. */
import { ClientFailure, printable } from '../failure.ts'
import type { KubeconfigDocument } from '../kubeconfig/document.ts'
import { contextsOfPlugin, currentServer, type CurrentServer } from '../kubeconfig/merge.ts'

/**
 * The Gatehouse of the current context.
 *
 * @throws ClientFailure that says how to choose one
 */
export function requireCurrentServer(documents: readonly KubeconfigDocument[]): CurrentServer {
  const current = currentServer(documents)
  if (current !== undefined) return current
  const [name, ...more] = contextsOfPlugin(documents).map(printable)
  throw new ClientFailure(
    'usage',
    name === undefined
      ? 'no context of the kubeconfig signs in with gatehouse: run gatehouse login URL, or name the URL of a Gatehouse'
      : `the current context of the kubeconfig does not sign in with gatehouse: run kubectl config use-context ${name}${more.map((each) => ` (or ${each})`).join('')}, or name the URL of a Gatehouse`,
  )
}

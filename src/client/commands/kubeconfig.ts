import { ClientFailure } from '../failure.ts'
import type { ClientHost } from '../host.ts'
import { kubeconfigDocument } from '../kubeconfig/document.ts'
import { mergeEntry } from '../kubeconfig/merge.ts'
import { kubeloginStanza } from '../kubeconfig/stanza.ts'
import { acceptClient, chooseMethod } from '../method.ts'
import type { ObtainEffects } from '../obtain-session.ts'
import { openIssuer, scopesFor } from '../oidc/issuer.ts'
import type { TrustedServer } from '../trust-server.ts'
import { printArgocdSecret, type ArgocdOptions } from './argocd.ts'
import { effectsOf } from './environment.ts'
import { entryName, execOf, findServer, mergeExec, mergeServer } from './login.ts'

export interface KubeconfigOptions extends ArgocdOptions {
  readonly flavor: string
  readonly acceptSharedClient?: boolean
  /** Print a Secret for Argo CD instead. */
  readonly argocd?: boolean
}

export const FLAVORS = ['gatehouse', 'kubelogin'] as const

/** Prints a kubeconfig for a Gatehouse, or merges it, without signing in. */
export async function kubeconfig(
  url: string,
  options: KubeconfigOptions,
  host: ClientHost,
): Promise<void> {
  const effects = effectsOf(host, options)
  const trusted = await findServer(url, options, host, effects.terminal)
  const isKubelogin = options.flavor === 'kubelogin'
  if (options.argocd === true) {
    if (isKubelogin) {
      throw new ClientFailure('usage', '--flavor has no meaning for Argo CD: leave it out')
    }
    printArgocdSecret(trusted, options, host)
    return
  }
  if (options.tokenFile !== undefined) {
    throw new ClientFailure('usage', '--token-file is for --argocd: a kubeconfig holds no token')
  }
  if (isKubelogin && (options.account ?? '') !== '') {
    throw new ClientFailure('usage', '--account has no meaning for kubelogin: leave it out')
  }
  if (options.merge === true) {
    const { context, path } = isKubelogin
      ? await mergeExec(trusted, options, host, await kubeloginExec(trusted, options, effects))
      : await mergeServer(trusted, options, host)
    host.writeOut(`Context ${context} is in ${path}\n`)
    return
  }
  // Whoever gets it has this program under its name.
  const exec = isKubelogin
    ? await kubeloginExec(trusted, options, effects)
    : execOf(trusted, options, ['gatehouse'])
  const document = kubeconfigDocument('', undefined)
  mergeEntry([document], {
    name: entryName(trusted, options),
    server: trusted.server,
    account: options.account ?? '',
    exec,
    namespace: options.namespace,
    makesCurrent: true,
  })
  host.writeOut(document.text())
}

/** kubelogin gives the same token to every server of a client, so the question is asked here. */
async function kubeloginExec(
  { server, discovery }: TrustedServer,
  { method: name = '', acceptSharedClient = false }: KubeconfigOptions,
  effects: Pick<ObtainEffects, 'knownServers' | 'terminal'>,
): Promise<object> {
  const method = chooseMethod(server, discovery, name)
  if (method.type !== 'oidc' || method.boundTokens !== undefined) {
    throw new ClientFailure('usage', `kubelogin cannot sign in by the method ${method.name}`)
  }
  await acceptClient(server, method, { acceptSharedClient }, effects)
  effects.knownServers.accept(server, method)
  const { configuration, close } = await openIssuer(method)
  try {
    return kubeloginStanza(method, scopesFor(configuration, method))
  } finally {
    await close()
  }
}

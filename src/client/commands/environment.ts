import { browserCommand } from '../browser.ts'
import type { ClientHost } from '../host.ts'
import { readKubeconfig } from '../kubeconfig/document.ts'
import { currentServer, knownCA } from '../kubeconfig/merge.ts'
import { kubeconfigPaths } from '../kubeconfig/paths.ts'
import type { ObtainEffects } from '../obtain-session.ts'
import { cacheNamed } from '../renew-token.ts'
import { originOf, type Server } from '../server.ts'
import { sessionDirectory } from '../session/directory.ts'
import { createKnownServers } from '../session/known-servers.ts'
import type { SessionId } from '../session/session.ts'
import { createSessionStore } from '../session/store.ts'
import { createTerminal } from '../terminal.ts'
import { requireCurrentServer } from './current-context.ts'

/** Options that several commands have. */
export interface CommonOptions {
  readonly account?: string
  readonly method?: string
  readonly kubeconfig?: string
  readonly cache?: string
}

/** What the commands work with. */
export function effectsOf(host: ClientHost, { cache = '' }: CommonOptions): ObtainEffects {
  const directory = sessionDirectory(host)
  return {
    store: createSessionStore({ directory, cache: cacheNamed(cache) }),
    knownServers: createKnownServers(directory),
    terminal: createTerminal(host, true),
  }
}

/** The command that opens a browser; undefined if there is none, or none is wanted. */
export function browserOf(host: ClientHost, wanted: boolean): readonly string[] | undefined {
  return wanted ? browserCommand(host) : undefined
}

/**
 * The sign-in that a command without further options is about: that of the URL, or of the current context
 * of the kubeconfig.
 *
 * @throws ClientFailure when there is none
 */
export function sessionIdOf(
  host: ClientHost,
  url: string | undefined,
  { account, method, kubeconfig }: CommonOptions,
): SessionId {
  const documents = kubeconfigPaths(host, kubeconfig).map((path) => readKubeconfig(path))
  const origin =
    url === undefined ? requireCurrentServer(documents).origin : originOf(url, 'the URL')
  const current = currentServer(documents)
  const isCurrent = current?.origin === origin
  const server: Server = { origin, certificateAuthority: knownCA(documents, origin) ?? '' }
  return {
    server,
    account: account ?? (isCurrent ? current.account : ''),
    method: method ?? (isCurrent ? current.method : ''),
  }
}

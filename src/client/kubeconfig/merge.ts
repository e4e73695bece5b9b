import { ClientFailure } from '../failure.ts'
import type { Server } from '../server.ts'
import { kubeconfigDocument, type EntryKind, type KubeconfigDocument } from './document.ts'
import { defaultPath } from './paths.ts'
import { clusterMembers, isPluginFor, pluginArgument } from './stanza.ts'

export interface KubeconfigEntry {
  /** The name of the context and of the cluster. */
  readonly name: string
  readonly server: Server
  readonly account: string
  /** The `exec` member of the user. */
  readonly exec: object
  /** Undefined leaves the namespace of an existing context as it is. */
  readonly namespace: string | undefined
  /** Whether the context becomes the current one. */
  readonly makesCurrent: boolean
}

/** What was merged, for the user. */
export interface Merged {
  readonly context: string
  readonly path: string
}

/**
 * Adds the entries of a Gatehouse to kubeconfigs, or updates them where they are.
 *
 * @throws ClientFailure when a name is in use for something else
 */
export function mergeEntry(
  documents: readonly KubeconfigDocument[],
  entry: KubeconfigEntry,
): Merged {
  const { name, server, account, exec, namespace } = entry
  const context = contextName(name, account)
  const target = defaultDocument(documents)
  const fileOf = (kind: EntryKind, of: string): KubeconfigDocument =>
    documents.find((document) => document.entry(kind, of) !== undefined) ?? target
  const [clusters, users, contexts] = [
    fileOf('clusters', name),
    fileOf('users', context),
    fileOf('contexts', context),
  ]
  checkNames({ clusters, users, contexts }, documents, context, entry)
  clusters.set('clusters', name, clusterMembers(server))
  users.set('users', context, { exec })
  contexts.set('contexts', context, {
    cluster: name,
    ...(namespace === undefined ? {} : { namespace }),
    user: context,
  })
  if (entry.makesCurrent) {
    // The first file that sets it wins.
    const first = documents.find(({ currentContext }) => currentContext !== '') ?? target
    first.setCurrentContext(context)
  }
  return { context, path: users.path }
}

function contextName(name: string, account: string): string {
  return account === '' ? name : `${name}-${account}`
}

function checkNames(
  { clusters, users, contexts }: Readonly<Record<EntryKind, KubeconfigDocument>>,
  documents: readonly KubeconfigDocument[],
  context: string,
  { name, server }: KubeconfigEntry,
): void {
  const inUse = (kind: string, path: string, of: string): ClientFailure =>
    new ClientFailure(
      'usage',
      `${path} already has a ${kind} ${JSON.stringify(of)} for something else: choose another name with --context NAME`,
    )
  const cluster = clusters.entry('clusters', name)
  if (cluster !== undefined && !isAt(cluster['server'], server.origin)) {
    throw inUse('cluster', clusters.path, name)
  }
  const user = users.entry('users', context)
  // A user of kubelogin does not say for which server it is.
  const isShared = documents.some((document) =>
    document.names('contexts').some((each) => {
      const other = document.entry('contexts', each)
      return other?.['user'] === context && other['cluster'] !== name
    }),
  )
  const isOurs = isPluginFor(user, server.origin) || (isKubelogin(user) && !isShared)
  if (user !== undefined && !isOurs) throw inUse('user', users.path, context)
  const used = contexts.entry('contexts', context)
  if (used !== undefined && (used['cluster'] !== name || used['user'] !== context)) {
    throw inUse('context', contexts.path, context)
  }
}

/** An entry that `--flavor kubelogin` wrote, or that a user has moved from kubelogin to this program. */
function isKubelogin(user: Readonly<Record<string, unknown>> | undefined): boolean {
  return JSON.stringify(user?.['exec'] ?? null).includes('"oidc-login"')
}

function isAt(server: unknown, origin: string): boolean {
  return typeof server === 'string' && URL.canParse(server) && new URL(server).origin === origin
}

/** The document that kubectl would write new entries to. */
function defaultDocument(documents: readonly KubeconfigDocument[]): KubeconfigDocument {
  const path = defaultPath(documents.map((document) => document.path))
  return documents.find((document) => document.path === path) ?? kubeconfigDocument(path, undefined)
}

/**
 * Removes the entries of a Gatehouse: users that run this program for it, their contexts, and its clusters
 * that no other context uses.
 *
 * @param account undefined for all accounts
 * @returns the names of the contexts that were removed
 */
export function removeEntries(
  documents: readonly KubeconfigDocument[],
  origin: string,
  account: string | undefined,
): readonly string[] {
  const removedUsers = new Set<string>()
  for (const document of documents) {
    for (const name of document.names('users')) {
      const user = document.entry('users', name)
      if (!isPluginFor(user, origin)) continue
      if (account !== undefined && pluginArgument(user, 'account') !== account) continue
      document.remove('users', name)
      removedUsers.add(name)
    }
  }
  const removed = removeWhere(documents, 'contexts', ({ user }) => removedUsers.has(String(user)))
  const used = new Set(
    documents.flatMap((document) =>
      document.names('contexts').map((name) => document.entry('contexts', name)?.['cluster']),
    ),
  )
  removeWhere(documents, 'clusters', ({ server }, name) => isAt(server, origin) && !used.has(name))
  for (const document of documents) {
    if (removed.includes(document.currentContext)) document.setCurrentContext('')
  }
  return removed
}

function removeWhere(
  documents: readonly KubeconfigDocument[],
  kind: EntryKind,
  matches: (entry: Readonly<Record<string, unknown>>, name: string) => boolean,
): readonly string[] {
  const removed: string[] = []
  for (const document of documents) {
    for (const name of document.names(kind)) {
      const entry = document.entry(kind, name)
      if (entry === undefined || !matches(entry, name)) continue
      document.remove(kind, name)
      removed.push(name)
    }
  }
  return removed
}

/** The CA that a kubeconfig already has for a server, so that nobody is asked for it again. */
export function knownCA(
  documents: readonly KubeconfigDocument[],
  origin: string,
): string | undefined {
  for (const document of documents) {
    for (const name of document.names('clusters')) {
      const cluster = document.entry('clusters', name)
      const data = cluster?.['certificate-authority-data']
      if (!isAt(cluster?.['server'], origin) || typeof data !== 'string') continue
      if (cluster?.['insecure-skip-tls-verify'] === true) continue
      return Buffer.from(data, 'base64').toString('utf8')
    }
  }
  return undefined
}

export interface CurrentServer {
  readonly origin: string
  readonly account: string
  readonly method: string
}

/** The server and the account of the current context, if it signs in with this program. */
export function currentServer(documents: readonly KubeconfigDocument[]): CurrentServer | undefined {
  const current = documents.find(({ currentContext }) => currentContext !== '')?.currentContext
  return current === undefined ? undefined : serverOfContext(documents, current)
}

/** The names of the contexts that sign in with this program. */
export function contextsOfPlugin(documents: readonly KubeconfigDocument[]): readonly string[] {
  return documents
    .flatMap((document) => document.names('contexts'))
    .filter((name) => serverOfContext(documents, name) !== undefined)
}

function serverOfContext(
  documents: readonly KubeconfigDocument[],
  context: string,
): CurrentServer | undefined {
  const find = (kind: EntryKind, name: unknown) =>
    documents.map((document) => document.entry(kind, String(name))).find((entry) => entry)
  const user = find('users', find('contexts', context)?.['user'])
  const origin = pluginArgument(user, 'server')
  if (origin === '' || !isPluginFor(user, origin)) return undefined
  return {
    origin,
    account: pluginArgument(user, 'account'),
    method: pluginArgument(user, 'method'),
  }
}

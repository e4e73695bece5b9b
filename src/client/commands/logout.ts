import { ClientFailure, printable } from '../failure.ts'
import type { ClientHost } from '../host.ts'
import { readKubeconfig } from '../kubeconfig/document.ts'
import { removeEntries } from '../kubeconfig/merge.ts'
import { kubeconfigPaths } from '../kubeconfig/paths.ts'
import { updateKubeconfigs } from '../kubeconfig/update.ts'
import { revokeSession } from '../oidc/refresh.ts'
import { originOf } from '../server.ts'
import { takeLock } from '../session/lock.ts'
import type { SessionId } from '../session/session.ts'
import type { SessionStore } from '../session/store.ts'
import { requireCurrentServer } from './current-context.ts'
import { effectsOf, type CommonOptions } from './environment.ts'

/** How long a token may take to be renewed; a sign-in that goes on for longer must be ended first. */
const LOCK_TIMEOUT_MS = 30_000

export interface LogoutOptions extends CommonOptions {
  /** False for `--keep-kubeconfig`. */
  readonly removeEntries: boolean
}

/**
 * Ends the sign-ins at a Gatehouse: revokes them at the issuer, removes them from the cache, and their
 * entries from the kubeconfig. What cannot be revoked is removed nevertheless, and reported.
 *
 * @throws ClientFailure at the end, when a sign-in could not be revoked
 */
export async function logout(
  url: string | undefined,
  options: LogoutOptions,
  host: ClientHost,
): Promise<void> {
  const paths = kubeconfigPaths(host, options.kubeconfig)
  const { store } = effectsOf(host, options)
  const origin = originToLeave(url, paths)
  const ids = store
    .list(origin)
    .filter(({ account }) => options.account === undefined || account === options.account)
  const failures: string[] = []
  for (const id of ids) {
    const problem = await end(id, store)
    if (problem !== undefined) failures.push(problem)
  }
  const removed = options.removeEntries
    ? await updateKubeconfigs(paths, (documents) =>
        removeEntries(documents, origin, options.account),
      )
    : []
  host.writeOut(
    ids.length === 0 && removed.length === 0
      ? `Not signed in at ${origin}\n`
      : `Signed out of ${origin}${removed.map((name) => `; removed the context ${name}`).join('')}\n`,
  )
  const hint = removed.length === 0 ? undefined : currentContextHint(paths)
  if (hint !== undefined) host.writeOut(hint)
  if (ids.length > 0) host.writeOut(issuerHint(origin))
  if (failures.length > 0) throw new ClientFailure('unavailable', failures.join('; '))
}

/** Revocation ends the tokens, and not what the browser has. */
function issuerHint(origin: string): string {
  return (
    'Your browser may still be signed in at the issuer: sign out there as well on a machine that others use.\n' +
    `Sign in again with: gatehouse login ${origin}\n`
  )
}

/** Without a current context, kubectl would try to reach localhost:8080. */
function currentContextHint(paths: readonly string[]): string | undefined {
  const documents = paths.map((path) => readKubeconfig(path))
  const names = documents.flatMap((document) => document.names('contexts'))
  if (names.length === 0 || documents.some(({ currentContext }) => currentContext !== '')) {
    return undefined
  }
  return (
    `kubectl has no current context now. Choose one with: kubectl config use-context NAME\n` +
    `Contexts: ${names.map(printable).join(', ')}\n`
  )
}

function originToLeave(url: string | undefined, paths: readonly string[]): string {
  if (url !== undefined) return originOf(url, 'the URL')
  return requireCurrentServer(paths.map((path) => readKubeconfig(path))).origin
}

/**
 * Ends one sign-in. A kubectl that renews its token at this moment would write it again, so it comes first.
 *
 * @returns why the sign-in could not be revoked; undefined when it could, or when the issuer has no revocation
 */
async function end(id: SessionId, store: SessionStore): Promise<string | undefined> {
  const lock = await takeLock({
    ...{ name: store.lockName(id), timeout: LOCK_TIMEOUT_MS, ignoresFailure: true },
  })
  try {
    await revoke(id, store)
    return undefined
  } catch (error) {
    if (!(error instanceof ClientFailure)) throw error
    return `the sign-in was removed from this machine, but not revoked at the issuer: ${error.message}`
  } finally {
    store.remove(id)
    lock.release()
  }
}

async function revoke(id: SessionId, store: SessionStore): Promise<void> {
  const session = await store.read(id)
  if (session !== undefined) await revokeSession(session)
  else if (store.has(id)) throw new ClientFailure('file', 'the keyring does not give its key')
}

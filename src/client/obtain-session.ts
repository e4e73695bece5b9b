import { requireDiscovery, type Discovery, type OidcMethod } from './discovery.ts'
import { EXIT } from './exit-codes.ts'
import { ClientFailure } from './failure.ts'
import { createHttpClient } from './net/http-client.ts'
import { refreshSession } from './oidc/refresh.ts'
import { SIGN_IN_TIMEOUT_MS } from './oidc/sign-in-request.ts'
import { signIn } from './oidc/sign-in.ts'
import type { Server } from './server.ts'
import type { KnownServers } from './session/known-servers.ts'
import { takeLock } from './session/lock.ts'
import type { Session, SessionId } from './session/session.ts'
import type { SessionStore } from './session/store.ts'
import { confirm, type Terminal } from './terminal.ts'

export interface ObtainRequest {
  readonly id: SessionId
  /** Whether a user may be asked to sign in. */
  readonly maySignIn: boolean
  /** Signs in even if there is a valid session. */
  readonly force: boolean
  /** Accepts a client that another server has named as well, without asking. */
  readonly acceptSharedClient: boolean
  readonly browser: readonly string[] | undefined
  readonly device: boolean
}

export interface ObtainEffects {
  readonly store: SessionStore
  readonly knownServers: KnownServers
  readonly terminal: Terminal
}

/** How long a program without a user waits for a sign-in that is going on elsewhere. */
const SILENT_WAIT_MS = 30_000
const GRACE_MS = 30_000

/**
 * A session whose token is valid: the cached one, a renewed one, or that of a new sign-in. Of several
 * processes, one renews or signs in, and the others take its result.
 *
 * @throws ClientFailure
 */
export async function obtainSession(
  request: ObtainRequest,
  effects: ObtainEffects,
): Promise<Session> {
  const { id, maySignIn, force } = request
  const { store } = effects
  const before = await store.read(id)
  if (!force && before !== undefined && isFresh(before)) return before
  const timeout = maySignIn ? SIGN_IN_TIMEOUT_MS + GRACE_MS : SILENT_WAIT_MS
  const lock = await takeLock({ name: store.lockName(id), timeout })
  try {
    const session = await obtainLocked(before, request, effects)
    lock.release()
    return session
  } catch (error) {
    lock.release(error)
    throw error
  }
}

async function obtainLocked(
  before: Session | undefined,
  request: ObtainRequest,
  effects: ObtainEffects,
): Promise<Session> {
  const { id, force } = request
  const { store } = effects
  const current = await store.read(id)
  const isNew = current !== undefined && current.secrets.idToken !== before?.secrets.idToken
  if (current !== undefined && isFresh(current) && (!force || isNew)) return current
  const session =
    (force || current === undefined ? undefined : await renewed(current)) ??
    (await newSession(request, effects))
  if (session !== current) await store.write(id, session)
  return session
}

function isFresh({ facts }: Session): boolean {
  return facts.renewAt > Date.now()
}

/** Undefined: a new sign-in is needed. While the issuer is down, a token is used to its end. */
async function renewed(session: Session): Promise<Session | undefined> {
  try {
    return await refreshSession(session)
  } catch (error) {
    const isDown = error instanceof ClientFailure && error.exitCode === EXIT.unavailable
    if (isDown && session.facts.expiresAt > Date.now()) return session
    throw error
  }
}

async function newSession(request: ObtainRequest, effects: ObtainEffects): Promise<Session> {
  const { id, maySignIn, browser, device } = request
  const { server } = id
  if (!maySignIn) throw signInRequired(id)
  const http = createHttpClient({ ca: server.certificateAuthority })
  try {
    const method = chooseMethod(server, await requireDiscovery(server.origin, http), id.method)
    await acceptClient(server, method, request, effects)
    const { terminal } = effects
    const session = await signIn({ method, account: id.account, terminal, browser, device })
    effects.knownServers.accept(server, method)
    return session
  } finally {
    await http.close()
  }
}

/** For a program that nobody watches: what the user has to do. */
export function signInRequired({ server, account, method }: SessionId): ClientFailure {
  const options = [
    ...(account === '' ? [] : [`--account ${account}`]),
    ...(method === '' ? [] : [`--method ${method}`]),
  ]
  const command = ['gatehouse login', server.origin, ...options].join(' ')
  return new ClientFailure('signInRequired', `not signed in: run ${command}`)
}

/**
 * The method of a name, or the first one.
 *
 * @throws ClientFailure when there is none that this version knows
 */
export function chooseMethod(server: Server, discovery: Discovery, name: string): OidcMethod {
  const { methods } = discovery
  const known = methods.filter((method) => method.type === 'oidc')
  const chosen = name === '' ? known[0] : methods.find((method) => method.name === name)
  if (chosen?.type === 'oidc') return chosen
  const { origin } = server
  if (chosen !== undefined || (name === '' && methods.length > 0)) {
    const unknown = chosen?.name ?? methods.map((method) => method.name).join(', ')
    throw new ClientFailure(
      'unavailable',
      `${origin} offers a sign-in method that this version does not know (${unknown}): update gatehouse`,
    )
  }
  const names = known.map((method) => method.name).join(', ')
  throw new ClientFailure(
    name === '' ? 'unavailable' : 'usage',
    name === '' || names === ''
      ? `${origin} offers no way to sign in: ask your Gatehouse administrator`
      : `${origin} has no sign-in method ${JSON.stringify(name)}: use one of: ${names}`,
  )
}

/** Asks once before the user signs in at a server besides those that are known. */
export async function acceptClient(
  server: Server,
  method: OidcMethod,
  { acceptSharedClient }: Pick<ObtainRequest, 'acceptSharedClient'>,
  { knownServers, terminal }: Pick<ObtainEffects, 'knownServers' | 'terminal'>,
): Promise<void> {
  const others = knownServers.othersOf(server, method)
  if (others.length === 0 || acceptSharedClient) return
  const known = others.join(', ')
  const what =
    `${server.origin} signs users in as the client ${JSON.stringify(method.clientID)} of ` +
    `${method.issuer}, and you have signed in at ${known} before. A server that is not what you think ` +
    'it is could use this sign-in at the other.'
  if (terminal.isInteractive) {
    terminal.print(what)
    if (await confirm(terminal, `Do you trust ${server.origin} as much as ${known}?`)) return
  }
  throw new ClientFailure(
    'untrusted',
    `${what} If you trust it, run gatehouse login ${server.origin} --accept-shared-client`,
  )
}

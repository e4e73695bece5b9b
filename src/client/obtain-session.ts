import { obtainCertificate, type ObtainedCertificate } from './certificate/obtain-certificate.ts'
import { signInWithPassword } from './certificate/password-sign-in.ts'
import { requireDiscovery } from './discovery.ts'
import { EXIT } from './exit-codes.ts'
import { ClientFailure } from './failure.ts'
import { acceptClient, bindingOf, chooseMethod, maxAgeOf } from './method.ts'
import { createHttpClient } from './net/http-client.ts'
import { refreshSession, withCertificateFiles } from './oidc/refresh.ts'
import { SIGN_IN_TIMEOUT_MS } from './oidc/sign-in-request.ts'
import { signIn } from './oidc/sign-in.ts'
import { hasBoundCertificate } from './session/bound-certificate.ts'
import { isFresh, isUsable } from './session/freshness.ts'
import type { KnownServers } from './session/known-servers.ts'
import { takeLock } from './session/lock.ts'
import type { CertificateFiles, Session, SessionId } from './session/session.ts'
import type { SessionStore } from './session/store.ts'
import type { Terminal } from './terminal.ts'

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
  /** Reads a password from elsewhere than the terminal; undefined: the user is asked. */
  readonly readPassword?: (() => Promise<string>) | undefined
  /** Whether a client certificate is wanted, besides the token. */
  readonly certificate: boolean
  /** The user's own certificate, to which the token is to be bound; undefined for none. */
  readonly certificateFiles?: CertificateFiles | undefined
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
 * A session whose token, or certificate, is valid: the cached one, a renewed one, or that of a new sign-in.
 * Of several processes, one renews or signs in, and the others take its result.
 *
 * @throws ClientFailure
 */
export async function obtainSession(
  request: ObtainRequest,
  effects: ObtainEffects,
): Promise<Session> {
  const { id, maySignIn, force, certificate } = request
  const { store } = effects
  const before = await store.read(id)
  if (!force && before !== undefined && isFresh(before, certificate)) return before
  const timeout = maySignIn ? SIGN_IN_TIMEOUT_MS + GRACE_MS : SILENT_WAIT_MS
  // A process that began before another one failed opens no window either.
  const since = performance.timeOrigin
  const lock = await takeLock({ name: store.lockName(id), timeout, since })
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
  const { id, force, certificate } = request
  const { store } = effects
  const current = await store.read(id)
  const isNew = current !== undefined && isNewer(current, before)
  if (current !== undefined && isFresh(current, certificate) && (!force || isNew)) return current
  const session = await withToken(force && !isNew ? undefined : current, request, effects)
  // The issuer may accept a refresh token only once, so the new one is kept whatever comes next.
  if (session !== current) await store.write(id, session)
  if (!certificate || isPassword(session) || !isUsable(session, false)) return session
  return withCertificate(session, request, effects)
}

/** Of a sign-in with a password, which has a certificate and no token. */
function isPassword({ secrets }: Session): boolean {
  return secrets.token === ''
}

function isNewer({ secrets }: Session, before: Session | undefined): boolean {
  return (
    secrets.token !== before?.secrets.token ||
    secrets.certificate?.certificate !== before.secrets.certificate?.certificate
  )
}

/** @param current undefined: the user signs in */
async function withToken(
  current: Session | undefined,
  request: ObtainRequest,
  effects: ObtainEffects,
): Promise<Session> {
  if (current === undefined) return newSession(request, effects)
  if (isFresh(current, false)) return current
  try {
    return (await renewed(current)) ?? (await newSession(request, effects))
  } catch (error) {
    if (isLastResort(current, request)) return current
    throw error
  }
}

/** Whether nobody can be asked to sign in, and the certificate is not over yet. */
function isLastResort(session: Session, { maySignIn, certificate }: ObtainRequest): boolean {
  return !maySignIn && certificate && isUsable(session, true)
}

/** Undefined: a new sign-in is needed. While the issuer is down, a token is used to its end. */
async function renewed(session: Session): Promise<Session | undefined> {
  // Refresh tokens are bound to the certificate as well (RFC 8705 section 4).
  if (!hasBoundCertificate(session)) return undefined
  try {
    const next = await refreshSession(session)
    return next && withCertificateOf(session, next)
  } catch (error) {
    if (isDown(error) && isUsable(session, false)) return session
    throw error
  }
}

/** A certificate does not end with the token that it was issued for. */
function withCertificateOf({ facts, secrets }: Session, next: Session): Session {
  const { certificate } = secrets
  if (certificate === undefined) return next
  const { certificateRenewAt = 0, certificateExpiresAt = 0 } = facts
  return {
    facts: { ...next.facts, certificateRenewAt, certificateExpiresAt },
    secrets: { ...next.secrets, certificate },
  }
}

function isDown(error: unknown): boolean {
  return error instanceof ClientFailure && error.exitCode === EXIT.unavailable
}

/** Exchanges the sign-in for a certificate. While Gatehouse issues none, the old one is used to its end. */
async function withCertificate(
  session: Session,
  request: ObtainRequest,
  effects: ObtainEffects,
): Promise<Session> {
  const { id } = request
  try {
    const obtained = await obtainCertificate(id.server, { token: session.secrets.token })
    if (obtained !== undefined) return await kept(session, obtained, id, effects)
  } catch (error) {
    if (isDown(error) && isUsable(session, true)) return session
    throw error
  }
  // The sign-in is too old: only the user can help.
  if (isLastResort(session, request)) return session
  const anew = await newSession(request, effects)
  await effects.store.write(id, anew)
  const obtained = await obtainCertificate(id.server, { token: anew.secrets.token })
  if (obtained !== undefined) return kept(anew, obtained, id, effects)
  throw new ClientFailure(
    'rejected',
    `${id.server.origin} issues no certificate: the issuer did not have you sign in anew; ask your Gatehouse administrator`,
  )
}

async function kept(
  { facts, secrets }: Session,
  { certificate, key, renewAt, expiresAt }: ObtainedCertificate,
  id: SessionId,
  { store }: ObtainEffects,
): Promise<Session> {
  const session = {
    facts: { ...facts, certificateRenewAt: renewAt, certificateExpiresAt: expiresAt },
    secrets: { ...secrets, certificate: { certificate, key } },
  }
  await store.write(id, session)
  return session
}

async function newSession(request: ObtainRequest, effects: ObtainEffects): Promise<Session> {
  const { id, maySignIn, browser, device, certificate, certificateFiles } = request
  const { server } = id
  if (!maySignIn) throw signInRequired(id, request)
  const http = createHttpClient({ ca: server.certificateAuthority })
  try {
    const method = chooseMethod(server, await requireDiscovery(server.origin, http), id.method)
    const { terminal } = effects
    if (method.type === 'ldap') {
      return await signInWithPassword(server, {
        ...{ method, account: id.account, terminal, readPassword: request.readPassword },
      })
    }
    await acceptClient(server, method, request, effects)
    const maxAge = certificate ? maxAgeOf(server, method) : undefined
    const boundTo = bindingOf(server, method, request)
    const session = await signIn({
      ...{ method, account: id.account, terminal, browser, device, maxAge, certificate: boundTo },
    })
    effects.knownServers.accept(server, method)
    return withCertificateFiles(session, certificateFiles)
  } finally {
    await http.close()
  }
}

/** For a program that nobody watches: what the user has to do. */
function signInRequired(
  { server, account, method }: SessionId,
  { certificate, certificateFiles: files }: ObtainRequest,
): ClientFailure {
  const options = [
    ...(account === '' ? [] : [`--account ${account}`]),
    ...(method === '' ? [] : [`--method ${method}`]),
    ...(certificate ? ['--certificate'] : []),
    ...(files === undefined
      ? []
      : [`--client-certificate ${files.certificate} --client-key ${files.key}`]),
  ]
  const command = ['gatehouse login', server.origin, ...options].join(' ')
  return new ClientFailure('signInRequired', `not signed in: run ${command}`)
}

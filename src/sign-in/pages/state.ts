/** What the pages know of configuration, issuer and sessions; a reload replaces parts of it. */
import type { Authenticator } from '../../authentication/authenticator.ts'
import type {
  AuthenticationConfiguration,
  Issuer,
} from '../../authentication/oidc/authentication-config.ts'
import type { ProxyFor } from '../../config/egress-proxy.ts'
import type { Exchange } from '../../http/exchange.ts'
import type { Locks } from '../../locks/locks.ts'
import { StatusError } from '../../status.ts'
import { readCookie, SESSION_COOKIE, SIGN_IN_COOKIE } from './cookies.ts'
import {
  createEndedSessions,
  type EndedSessions,
  type EndedSessionsOptions,
} from './ended-sessions.ts'
import type { PendingSignIn, RelyingParty } from './relying-party.ts'
import { createSealedCookies, type SealedCookies } from './sealed-cookies.ts'
import type { PagesOptions, PagesSecrets } from './secrets.ts'
import { readSession, type Session } from './session.ts'

/** Stages of the Kubernetes API by which the pages judge users; members are read anew for every request. */
export interface PagesStages {
  readonly authenticate: Authenticator
  readonly locks: Pick<Locks, 'refusalOf'>
}

export interface PagesState {
  readonly ended: EndedSessions
  /** @throws StatusError 503 while the issuer of the pages is not configured */
  relyingParty(): Promise<RelyingParty>
  /** The session of a browser; undefined without one, or when it has ended. */
  session(exchange: Exchange): Promise<Session | undefined>
  sealSession(session: Session): Promise<string>
  /** What this browser has begun and not finished. */
  pending(exchange: Exchange): Promise<PendingSignIn | undefined>
  sealPending(pending: PendingSignIn): Promise<string>
  /** PEM; undefined for a public CA. */
  servingCA(): string | undefined
  updateSecrets(next: PagesSecrets): void
  updateAuthentication(next: AuthenticationConfiguration): void
  updateServingCA(pem: string): void
  close(): void
}

export interface PagesStateEffects {
  readonly proxyFor: ProxyFor
  /** Sessions that have ended, and where that is kept. */
  readonly ended: EndedSessionsOptions
}

/** How long a user may take to sign in, in milliseconds. */
export const SIGN_IN_LIFETIME_MS = 600_000

/** Creates the state; until the secrets and the issuer are known, nobody can sign in. */
export function createPagesState(
  options: PagesOptions,
  { proxyFor, ended: endedSessions }: PagesStateEffects,
): PagesState {
  const now = (): number => Date.now()
  let secrets: PagesSecrets | undefined
  let cookies: SealedCookies = createSealedCookies([], [])
  let issuer: Issuer | undefined
  let servingCA: string | undefined
  let relyingParty: Promise<RelyingParty> | undefined

  function forgetRelyingParty(): void {
    void relyingParty?.then((party) => party.close())
    relyingParty = undefined
  }

  async function openRelyingParty(
    used: Issuer,
    { credential }: PagesSecrets,
  ): Promise<RelyingParty> {
    // Loaded when the first user signs in: the library would delay every start.
    const { createRelyingParty } = await import('./relying-party.ts')
    return createRelyingParty(
      { pages: options, issuer: used, credential },
      { proxyFor, now: () => performance.now() },
    )
  }

  const ended = createEndedSessions(endedSessions)

  return {
    ended,
    relyingParty() {
      if (issuer === undefined || secrets === undefined) throw notConfigured()
      return (relyingParty ??= openRelyingParty(issuer, secrets))
    },
    async session({ request }) {
      const cookie = readCookie(request.rawHeaders, SESSION_COOKIE)
      if (cookie === undefined) return undefined
      const session = readSession(await cookies.open('session', cookie), now())
      return session === undefined || ended.isEnded(session) ? undefined : session
    },
    sealSession: (session) => cookies.seal('session', session),
    async pending({ request }) {
      const cookie = readCookie(request.rawHeaders, SIGN_IN_COOKIE)
      if (cookie === undefined) return undefined
      // Only `sealPending` seals for this purpose.
      const value = (await cookies.open('sign-in', cookie)) as SealedPending | undefined
      return value !== undefined && now() < value.expiresAt ? value.pending : undefined
    },
    sealPending(pending) {
      const value: SealedPending = { pending, expiresAt: now() + SIGN_IN_LIFETIME_MS }
      return cookies.seal('sign-in', value)
    },
    servingCA: () => servingCA,
    updateSecrets(next) {
      secrets = next
      cookies = createSealedCookies(next.cookieKeys, [
        options.url,
        options.issuer,
        options.clientID,
      ])
      forgetRelyingParty()
    },
    updateAuthentication({ issuers }) {
      issuer = issuers.find(({ url }) => url === options.issuer)
      forgetRelyingParty()
    },
    updateServingCA(pem) {
      servingCA = pem
    },
    close: forgetRelyingParty,
  }
}

interface SealedPending {
  readonly pending: PendingSignIn
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

function notConfigured(): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    'nobody can sign in here at the moment: the issuer of the pages is not configured; ' +
      'ask your Gatehouse administrator',
  )
}

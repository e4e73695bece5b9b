import type { Authentication } from '../../authentication/authenticator.ts'
import type { ClientConnection } from '../../http/exchange.ts'
import { refuseLocked } from '../../locks/locks.ts'
import { keysOf } from '../../revocations/revocations.ts'
import { StatusError } from '../../status.ts'
import { clearCookie, SESSION_COOKIE, setCookie, SIGN_IN_COOKIE } from './cookies.ts'
import { issueCertificate, type IssueOptions } from './issue-certificate.ts'
import { redirect, type PageHandler } from './page.ts'
import { PAGES_PATH } from './paths.ts'
import type { SignedIn } from './relying-party.ts'
import type { PagesOptions } from './secrets.ts'
import { createSession } from './session.ts'
import type { PagesState } from './state.ts'

export interface FinishSignInOptions extends IssueOptions {
  readonly pages: PagesOptions
  readonly state: PagesState
  /** Turns what the issuer failed with into a refusal. */
  readonly refusalOf: (error: unknown) => Error
}

/** Each is a request to the issuer, which unauthenticated clients can cause. */
const MAX_REDEMPTIONS = 64

/**
 * Takes the browser back from the issuer. The ID token is judged exactly as the Kubernetes API judges
 * it, rules for claims and users included: whoever would be refused there gets no session here.
 */
export function createFinishSignIn(options: FinishSignInOptions): PageHandler {
  const { pages, state, refusalOf } = options
  let redemptions = 0

  /** Only in the browser that began it, and only once. */
  async function redeem(query: string, pending: Awaited<ReturnType<PagesState['pending']>>) {
    if (pending === undefined) {
      throw new StatusError(
        'BadRequest',
        'this browser has not started to sign in, or took longer than 10 minutes: sign in again',
      )
    }
    if (redemptions >= MAX_REDEMPTIONS) {
      throw new StatusError(
        'ServiceUnavailable',
        'too many users are signing in at the moment: try again',
        {
          headers: { 'Retry-After': '1' },
        },
      )
    }
    redemptions += 1
    try {
      const party = await state.relyingParty()
      return await party.redeem(query, pending).catch((error: unknown) => {
        throw refusalOf(error)
      })
    } finally {
      redemptions -= 1
    }
  }

  return async (request) => {
    const { exchange, record, observed, query } = request
    try {
      const pending = await state.pending(exchange)
      const signedIn = await redeem(query, pending)
      const authentication = await authenticate(signedIn, options, exchange.request.connection)
      if (pending?.certificate !== undefined) {
        record.authenticated(authentication)
        exchange.recognized()
        refuseLocked(options.stages.locks, authentication, exchange.request.connection)
        const { subject } = keysOf({ ...signedIn, issuer: pages.issuer })
        const fresh = { authentication, subject }
        return await issueCertificate(request, fresh, pending.certificate, options)
      }
      const session = createSession(
        authentication,
        { ...signedIn, issuer: pages.issuer },
        { now: Date.now(), lifetime: pages.sessionLifetime },
      )
      const { annotations } = authentication
      record.authenticated({
        ...authentication,
        annotations: { ...annotations, 'authentication.gatehouse/session': session.id },
      })
      exchange.recognized()
      refuseLocked(options.stages.locks, authentication, exchange.request.connection)
      observed.requestClass = 'read'
      const cookie = await state.sealSession(session)
      return redirect(PAGES_PATH, [
        ...setCookie(SESSION_COOKIE, cookie, Math.floor(pages.sessionLifetime / 1_000)),
        ...clearCookie(SIGN_IN_COOKIE),
      ])
    } catch (error) {
      throw withoutPending(error)
    }
  }
}

async function authenticate(
  { idToken }: SignedIn,
  { stages }: FinishSignInOptions,
  connection: ClientConnection,
): Promise<Authentication> {
  const authentication = await stages.authenticate({
    // A certificate of the connection is not part of this sign-in.
    connection: { ...connection, peerCertificate: undefined },
    authorization: `Bearer ${idToken}`,
    webSocketToken: undefined,
    // Nor is what a front proxy says about the request of the browser.
    rawHeaders: [],
  })
  if (authentication === undefined) throw new Error('a token was not taken for a credential')
  return authentication
}

/** A refused sign-in is over: the browser forgets it. */
function withoutPending(error: unknown): unknown {
  if (!(error instanceof StatusError)) return error
  const [name = '', value = ''] = clearCookie(SIGN_IN_COOKIE)
  return error.with({
    ...(error.reason === 'Unauthorized' ? { message: NOT_ACCEPTED } : {}),
    headers: { ...error.headers, [name]: value },
  })
}

const NOT_ACCEPTED =
  'you have signed in at the issuer, but the Kubernetes API would not accept this sign-in (Unauthorized): ' +
  'the audit event says why; ask your Gatehouse administrator'

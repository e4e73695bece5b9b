import type { AuditRecord } from '../audit/record.ts'
import { ISSUER_ANNOTATION } from '../authentication/oidc/oidc.ts'
import type { LogoutToken } from '../authentication/oidc/logout-token.ts'
import { quote } from '../authentication/quote.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Frame, Handled, Handler, Observed } from '../pipeline/frame.ts'
import { messageKey, revocationsOf } from '../revocations/revocation.ts'
import type { RevocationStore } from '../revocations/store.ts'
import { StatusError } from '../status.ts'
import { readForm } from './form-body.ts'
import { recordChange, requirePost, respond } from './own-response.ts'

export interface BackchannelLogoutOptions {
  readonly ownHeaders: Frame['ownHeaders']
  readonly store: Pick<RevocationStore, 'add'>
  /** How long an end is remembered, in milliseconds. */
  readonly lifetime: number
}

export interface BackchannelLogoutEffects {
  /**
   * Rejects with StatusError 401 for a token that is not valid, or not of an issuer that may send one, and with
   * 503 while nobody can say.
   */
  readonly verify: (token: string) => Promise<LogoutToken>
  /** @param error why it was refused or has failed */
  readonly onResult: (
    result: 'applied' | 'duplicate' | 'refused' | 'failed',
    error?: unknown,
  ) => void
}

/** What has caused a revocation. */
const EVENT = 'back-channel logout'

/**
 * The issuer says that it has ended a session (OpenID Connect Back-Channel Logout 1.0). The sender is
 * not authenticated, the token in the form is signed.
 */
export function createBackchannelLogout(
  { ownHeaders, store, lifetime }: BackchannelLogoutOptions,
  { verify, onResult }: BackchannelLogoutEffects,
): Handler {
  /** Returns what was ended; undefined for a token that was received before. */
  async function end(exchange: Exchange, record: AuditRecord): Promise<string | undefined> {
    requirePost(exchange)
    const tokens = (await readForm(exchange)).getAll('logout_token')
    const [token] = tokens
    if (token === undefined || tokens.length > 1) {
      throw new StatusError('BadRequest', 'the form must have one logout_token')
    }
    const logout = await verified(() => verify(token))
    recognize(logout, exchange, record)
    await recordChange(record)
    const { issuer, tokenID, issuedAt } = logout
    const once =
      tokenID === undefined
        ? undefined
        : {
            ...{ key: messageKey(issuer, tokenID), before: undefined },
            ...{ until: issuedAt + lifetime, event: EVENT },
          }
    const revocations = revocationsOf(
      { ...logout, at: issuedAt, event: EVENT },
      { now: Date.now(), lifetime },
    )
    return (await store.add({ revocations, once })) ? described(logout) : undefined
  }

  return async (exchange: Exchange, record: AuditRecord, observed: Observed): Promise<Handled> => {
    observed.verb = exchange.request.method.toLowerCase()
    let revocation: string | undefined
    try {
      revocation = await end(exchange, record)
    } catch (error) {
      onResult(error instanceof StatusError && error.code < 500 ? 'refused' : 'failed', error)
      throw error
    }
    onResult(revocation === undefined ? 'duplicate' : 'applied')
    // Section 2.6: a replay is refused. What it is about has ended already.
    if (revocation === undefined) {
      throw new StatusError('BadRequest', 'the logout token was received before (jti)')
    }
    return respond(exchange, record, ownHeaders, {
      ...{ code: 200, headers: ['Cache-Control', 'no-store'], body: '', revocation },
    })
  }
}

/** Section 2.8: a token that is not valid is a bad request. */
async function verified(verify: () => Promise<LogoutToken>): Promise<LogoutToken> {
  try {
    return await verify()
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'Unauthorized') throw error
    throw new StatusError('BadRequest', 'the logout token is not valid', { cause: error.cause })
  }
}

/** The issuer is who acts: its event is never among those that stand for many of unauthenticated clients. */
function recognize({ issuer }: LogoutToken, exchange: Exchange, record: AuditRecord): void {
  record.authenticated({
    user: { username: issuer, uid: '', groups: [], extra: {} },
    method: 'backchannel-logout',
    annotations: { [ISSUER_ANNOTATION]: issuer },
  })
  exchange.recognized()
}

function described({ issuer, subject, session }: LogoutToken): string {
  const user = subject === undefined ? '' : ` of user ${quote(subject)}`
  const what = session === undefined ? `all sessions${user}` : `session ${quote(session)}${user}`
  return `ended: ${what} at ${quote(issuer)} (${EVENT})`
}

import { unauthorized } from '../bearer.ts'
import { readClaims } from './compact-jws.ts'
import { checkRegisteredClaims } from './registered-claims.ts'
import { isJsonObject, ownMember, type JsonObject } from './strict-json.ts'

/** What an issuer has ended: one session, or all sessions of a user. At least one of the two is there. */
export interface LogoutToken {
  readonly issuer: string
  readonly subject: string | undefined
  readonly session: string | undefined
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** Some issuers leave out `exp`; then the token is valid as long as the specification recommends. */
const LIFETIME_SECONDS = 120

/**
 * Checks the payload of a logout token whose signature is verified (OpenID Connect Back-Channel Logout 1.0
 * section 2.6). An ID token is none: it has no such event, and one with a `nonce` is refused.
 *
 * @param now milliseconds since the epoch
 * @throws StatusError 401
 */
export function readLogoutToken(
  payload: Uint8Array,
  { issuer, clientID, now }: { issuer: string; clientID: string; now: number },
): LogoutToken {
  const claims = readClaims(payload)
  const issuedAt = ownMember(claims, 'iat')
  if (typeof issuedAt !== 'number') throw unauthorized('the logout token has no time (iat)')
  checkRegisteredClaims(
    { exp: issuedAt + LIFETIME_SECONDS, ...claims },
    { issuer, audiences: [clientID], now },
  )
  const events = ownMember(claims, 'events')
  if (!isJsonObject(events) || !isJsonObject(ownMember(events, EVENT))) {
    throw unauthorized('the token is not a logout token (events)')
  }
  if (ownMember(claims, 'nonce') !== undefined) {
    throw unauthorized('the logout token has a nonce, which only ID tokens have')
  }
  const [subject, session] = [text(claims, 'sub'), text(claims, 'sid')]
  if (subject === undefined && session === undefined) {
    throw unauthorized('the logout token names neither a user (sub) nor a session (sid)')
  }
  return { issuer, subject, session }
}

function text(claims: JsonObject, name: string): string | undefined {
  const value = ownMember(claims, name) ?? undefined
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw unauthorized(`the claim ${name} of the logout token is not a string`)
}

import { unauthorized } from '../bearer.ts'
import { quote } from '../quote.ts'
import { readClaims, type UnverifiedToken } from './compact-jws.ts'
import { checkRegisteredClaims } from './registered-claims.ts'
import { isJsonObject, ownMember, type JsonObject } from './strict-json.ts'

/** What an issuer has ended: one session, or all sessions of a user. At least one of the two is there. */
export interface LogoutToken {
  readonly issuer: string
  readonly subject: string | undefined
  readonly session: string | undefined
  /** When it was issued, in milliseconds since the epoch. */
  readonly issuedAt: number
  /** `jti`; undefined for an issuer that leaves it out. */
  readonly tokenID: string | undefined
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** Some issuers leave out `exp`; then the token is valid as long as the specification recommends. */
const LIFETIME_SECONDS = 120

/** Section 2.4 recommends the first one; the others were usual before. */
const LOGOUT_TYPES: ReadonlySet<string | undefined> = new Set(['logout+jwt', 'jwt', undefined])
/** Of tokens that an issuer signs with the same keys, for other purposes (RFC 8725 section 3.11). */
const OTHER_TYPES: ReadonlySet<string | undefined> = new Set(['logout+jwt', 'secevent+jwt'])

/**
 * Checks the payload of a logout token whose signature is verified (OpenID Connect Back-Channel Logout 1.0
 * section 2.6). An ID token is none: it has no such event, and one with a `nonce` is refused.
 *
 * @param now milliseconds since the epoch
 * @throws StatusError 401
 */
export function readLogoutToken(
  { type }: Pick<UnverifiedToken, 'type'>,
  payload: Uint8Array,
  {
    issuer,
    clientIDs,
    now,
  }: { readonly issuer: string; readonly clientIDs: readonly string[]; readonly now: number },
): LogoutToken {
  if (!LOGOUT_TYPES.has(type)) throw unauthorized(`a ${quote(type)} is not a logout token`)
  const claims = readClaims(payload)
  const issuedAt = ownMember(claims, 'iat')
  if (typeof issuedAt !== 'number') throw unauthorized('the logout token has no time (iat)')
  checkRegisteredClaims(
    { exp: issuedAt + LIFETIME_SECONDS, ...claims },
    { issuer, audiences: clientIDs, now },
  )
  if (!isLogout(claims)) throw unauthorized('the token is not a logout token (events)')
  if (ownMember(claims, 'nonce') !== undefined) {
    throw unauthorized('the logout token has a nonce, which only ID tokens have')
  }
  const [subject, session] = [text(claims, 'sub'), text(claims, 'sid')]
  if (subject === undefined && session === undefined) {
    throw unauthorized('the logout token names neither a user (sub) nor a session (sid)')
  }
  return { issuer, subject, session, issuedAt: issuedAt * 1_000, tokenID: text(claims, 'jti') }
}

/**
 * Refuses as a credential what an issuer has signed for another purpose. kube-apiserver accepts a logout
 * token as an ID token: issuer, audience, user and expiry are the same.
 *
 * @throws StatusError 401
 */
export function refuseOtherTokens(
  { type }: Pick<UnverifiedToken, 'type'>,
  claims: JsonObject,
): void {
  if (!OTHER_TYPES.has(type) && !isLogout(claims)) return
  throw unauthorized('the token is a message of the issuer (a logout token or a security event)')
}

function isLogout(claims: JsonObject): boolean {
  const events = ownMember(claims, 'events')
  return isJsonObject(events) && isJsonObject(ownMember(events, EVENT))
}

function text(claims: JsonObject, name: string): string | undefined {
  const value = ownMember(claims, name) ?? undefined
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw unauthorized(`the claim ${name} of the logout token is not a string`)
}

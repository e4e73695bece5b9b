import { unauthorized } from '../bearer.ts'
import { quote } from '../quote.ts'
import { ownMember, type JsonObject } from './strict-json.ts'

/** How far the issuer's clock may be ahead, in milliseconds. It lengthens no token's life. */
const NOT_BEFORE_LEEWAY = 60_000
const MAX_SHOWN = 4
/** Last second that ECMAScript, and so this file's words, can name; in the year 275760. */
const MAX_SECONDS = 8_640_000_000_000

export interface Expected {
  readonly issuer: string
  /** One of them must be in `aud`. */
  readonly audiences: readonly string[]
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * Checks `iss`, `aud`, `exp` and `nbf` (RFC 7519 section 4.1) of verified claims, and returns when
 * the token expires, in milliseconds since the epoch. As kube-apiserver's OIDC authenticator, `azp`,
 * `iat`, `nonce` and `typ` are not looked at; stricter than it, times must be numbers. Throws
 * StatusError 401.
 */
export function checkRegisteredClaims(claims: JsonObject, expected: Expected): number {
  checkParties(claims, expected)
  return checkTimes(claims, expected.now)
}

/** Checks whose token it is and for whom: `iss` and `aud`. Throws StatusError 401. */
export function checkParties(claims: JsonObject, expected: Omit<Expected, 'now'>): void {
  if (ownMember(claims, 'iss') !== expected.issuer) {
    throw unauthorized('the issuer (iss) is not the one whose keys verified the token')
  }
  const audiences = readAudiences(ownMember(claims, 'aud'))
  if (!audiences.some((audience) => expected.audiences.includes(audience))) {
    throw unauthorized(`the token is for another audience (aud): ${shown(audiences)}`)
  }
}

function checkTimes(claims: JsonObject, now: number): number {
  const expiresAt = readTime(claims, 'exp')
  if (expiresAt === undefined) throw unauthorized('the token does not expire (exp is missing)')
  if (now >= expiresAt)
    throw unauthorized(`the token has expired (exp): ${new Date(expiresAt).toISOString()}`)
  const notBefore = readTime(claims, 'nbf')
  if (notBefore !== undefined && now + NOT_BEFORE_LEEWAY < notBefore) {
    throw unauthorized(`the token is not valid yet (nbf): ${new Date(notBefore).toISOString()}`)
  }
  return expiresAt
}

/** The first few; a token may be for hundreds. */
function shown(audiences: readonly string[]): string {
  const few = audiences.slice(0, MAX_SHOWN).map(quote)
  return few.length === 0 ? 'none' : few.join(', ') + (audiences.length > MAX_SHOWN ? ', …' : '')
}

function readAudiences(aud: unknown): readonly string[] {
  const list: unknown[] = Array.isArray(aud) ? aud : [aud]
  return list.map((audience) => {
    if (typeof audience === 'string') return audience
    throw unauthorized('the audience (aud) is neither a string nor a list of strings')
  })
}

/** A NumericDate in milliseconds; undefined when there is none. */
function readTime(claims: JsonObject, name: 'exp' | 'nbf'): number | undefined {
  const value = ownMember(claims, name)
  if (value === undefined) return undefined
  if (typeof value !== 'number') throw unauthorized(`the claim ${name} is no number`)
  // 1e999 is valid JSON and parses to Infinity: a token for ever.
  if (!(Math.abs(value) <= MAX_SECONDS)) throw unauthorized(`the claim ${name} is no time`)
  return value * 1000
}

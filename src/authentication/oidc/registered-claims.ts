import { unauthorized } from '../bearer.ts'
import { quote } from '../quote.ts'
import { ownMember, type JsonObject } from './strict-json.ts'

/** How far the issuer's clock may be ahead. It does not extend a token's lifetime. */
const LEEWAY_MS = 60_000
/** Audiences in one message; a token may be for hundreds. */
const MAX_SHOWN = 4
/** Last second that an ECMAScript `Date` can represent, in the year 275760. */
const MAX_SECONDS = 8_640_000_000_000

/**
 * The URL of the issuer that a token names. Google's tokens may name it without the scheme, which
 * kube-apiserver accepts of Google only (go-oidc verify.go).
 */
export function issuerUrl(iss: string): string {
  return iss === 'accounts.google.com' ? 'https://accounts.google.com' : iss
}

export interface Expected {
  readonly issuer: string
  /** `aud` must contain one of them. */
  readonly audiences: readonly string[]
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * Checks `iss`, `aud`, `azp`, `exp`, `nbf` and `iat` (RFC 7519 section 4.1, OpenID Connect Core
 * section 3.1.3.7) of verified claims, and returns the expiry in milliseconds since the epoch. Like
 * kube-apiserver's OIDC authenticator, it does not check `nonce` and `typ`; unlike it, it checks `azp` and
 * `iat`, and requires times to be numbers. Throws StatusError 401.
 */
export function checkRegisteredClaims(claims: JsonObject, expected: Expected): number {
  checkParties(claims, expected)
  return checkTimes(claims, expected.now)
}

/** Claims that go-oidc reads as strings, whoever uses them. */
const STRINGS = ['sub', 'nonce', 'at_hash'] as const

/**
 * Checks issuer (`iss`), audience (`aud`) and authorized party (`azp`), and that `sub`, `nonce` and
 * `at_hash` are strings if they are there. Throws StatusError 401.
 */
export function checkParties(claims: JsonObject, expected: Omit<Expected, 'now'>): void {
  for (const name of STRINGS) {
    const value = ownMember(claims, name) ?? ''
    if (typeof value !== 'string') throw unauthorized(`the claim ${name} is not a string`)
  }
  const issuer = ownMember(claims, 'iss')
  if (typeof issuer !== 'string' || issuerUrl(issuer) !== expected.issuer) {
    throw unauthorized('the issuer (iss) is not the one whose keys verified the token')
  }
  const audiences = readAudiences(ownMember(claims, 'aud'))
  if (!audiences.some((audience) => expected.audiences.includes(audience))) {
    throw unauthorized(`the token is for another audience (aud): ${listed(audiences)}`)
  }
  const party = ownMember(claims, 'azp') ?? undefined
  if (party === undefined) return
  if (typeof party === 'string' && expected.audiences.includes(party)) return
  throw unauthorized(
    `the token was issued to another client (azp), which is not listed in audiences: ${quote(party)}`,
  )
}

function checkTimes(claims: JsonObject, now: number): number {
  const expiresAt = readTime(claims, 'exp')
  if (expiresAt === undefined) throw unauthorized('the token does not expire (exp is missing)')
  if (now >= expiresAt) {
    throw unauthorized(`the token has expired (exp): ${new Date(expiresAt).toISOString()}`)
  }
  const notBefore = readTime(claims, 'nbf')
  if (notBefore !== undefined && now + LEEWAY_MS < notBefore) {
    throw unauthorized(`the token is not valid yet (nbf): ${new Date(notBefore).toISOString()}`)
  }
  const issuedAt = readTime(claims, 'iat')
  if (issuedAt !== undefined && now + LEEWAY_MS < issuedAt) {
    throw unauthorized(
      `the token was issued in the future (iat): ${new Date(issuedAt).toISOString()}; compare the clocks`,
    )
  }
  return expiresAt
}

/**
 * When the user signed in (`auth_time`, OpenID Connect Core section 2), in milliseconds since the epoch;
 * undefined for a token that does not say so in a way that can be read. kube-apiserver does not read it,
 * so it is not a reason to refuse the token.
 */
export function signInTime(claims: JsonObject): number | undefined {
  const value = ownMember(claims, 'auth_time')
  return typeof value === 'number' && value > 0 && value <= MAX_SECONDS ? value * 1_000 : undefined
}

/** When the token was issued (`iat`); undefined as in `signInTime`. */
export function issueTime(claims: JsonObject): number | undefined {
  const value = ownMember(claims, 'iat')
  return typeof value === 'number' && Math.abs(value) <= MAX_SECONDS ? value * 1_000 : undefined
}

function listed(audiences: readonly string[]): string {
  const few = audiences.slice(0, MAX_SHOWN).map(quote)
  return few.length === 0 ? 'none' : few.join(', ') + (audiences.length > MAX_SHOWN ? ', …' : '')
}

function readAudiences(aud: unknown): readonly string[] {
  if (aud === undefined || aud === null) {
    throw unauthorized('the token has no audience (aud): it is not an ID token')
  }
  const list: unknown[] = Array.isArray(aud) ? aud : [aud]
  return list.map((audience) => {
    if (typeof audience === 'string') return audience
    throw unauthorized('the audience (aud) is neither a string nor a list of strings')
  })
}

/** A NumericDate in milliseconds since the epoch; undefined when the claim is missing. */
function readTime(claims: JsonObject, name: 'exp' | 'nbf' | 'iat'): number | undefined {
  const value = ownMember(claims, name)
  if (value === undefined) return undefined
  if (typeof value !== 'number') throw unauthorized(`the claim ${name} is not a number`)
  // 1e999 is valid JSON and parses to Infinity: the token would never expire.
  if (!(Math.abs(value) <= MAX_SECONDS)) throw unauthorized(`the claim ${name} is out of range`)
  return value * 1000
}

import { unverifiedClaims } from '../unverified-claims.ts'

/** What an unverified token says of itself. */
export interface ServiceAccountClaims {
  readonly issuer: string
  /** Milliseconds since the epoch; zero if the token does not say it, so that no verdict is kept. */
  readonly expiresAt: number
  readonly tokenID: string | undefined
}

/** Undefined for what is not a token with an issuer. The API server reads the token itself. */
export function claimsOf(token: string): ServiceAccountClaims | undefined {
  const claims = unverifiedClaims(token)
  // Without a signature, it is a token of nobody.
  if (claims === undefined || token.endsWith('.')) return undefined
  const { iss, exp, jti } = claims
  if (typeof iss !== 'string') return undefined
  return {
    issuer: iss,
    expiresAt: typeof exp === 'number' ? exp * 1000 : 0,
    tokenID: typeof jti === 'string' && jti !== '' ? jti : undefined,
  }
}

import { MAX_TOKEN_LENGTH } from '../bearer.ts'

/** What an unverified token says of itself. */
export interface ServiceAccountClaims {
  readonly issuer: string
  /** Milliseconds since the epoch; zero if the token does not say it, so that no verdict is kept. */
  readonly expiresAt: number
  readonly tokenID: string | undefined
}

const COMPACT = /^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/

/** Undefined for what is not a token with an issuer. The API server reads the token itself. */
export function claimsOf(token: string): ServiceAccountClaims | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined
  const [, payload] = COMPACT.exec(token) ?? []
  if (payload === undefined) return undefined
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as unknown
    if (typeof claims !== 'object' || claims === null) return undefined
    const { iss, exp, jti } = claims as Readonly<Record<'iss' | 'exp' | 'jti', unknown>>
    if (typeof iss !== 'string') return undefined
    return {
      issuer: iss,
      expiresAt: typeof exp === 'number' ? exp * 1000 : 0,
      tokenID: typeof jti === 'string' && jti !== '' ? jti : undefined,
    }
  } catch {
    return undefined
  }
}

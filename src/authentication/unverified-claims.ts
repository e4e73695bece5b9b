import { MAX_TOKEN_LENGTH } from './bearer.ts'

/** A JWS in compact form (RFC 7515 section 7.1), possibly without a signature. */
const COMPACT = /^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*$/

/** The claims of a token whose signature nobody has checked; undefined for what is no such token. */
export function unverifiedClaims(token: string): Readonly<Record<string, unknown>> | undefined {
  const [, payload] = token.length > MAX_TOKEN_LENGTH ? [] : (COMPACT.exec(token) ?? [])
  if (payload === undefined) return undefined
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as unknown
    return typeof claims === 'object' && claims !== null
      ? (claims as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

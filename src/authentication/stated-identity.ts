/** What a credential that was rejected says of itself: nothing of it is verified. */
import { createHash } from 'node:crypto'

import type { Credentials } from './authenticator.ts'
import { bearerToken } from './bearer.ts'
import { unverifiedClaims } from './unverified-claims.ts'

export interface StatedIdentity {
  /** A digest of the user whom it names; undefined if it names nobody. */
  readonly user: string | undefined
  /**
   * Whether it could have been accepted, as far as it says itself: not what has expired. Clients send that
   * all the time, and nobody guesses it.
   */
  readonly isGuess: boolean
}

/** @param now milliseconds since the epoch */
export function statedIdentity(credentials: Credentials, now: number): StatedIdentity {
  const { peerCertificate } = credentials.connection
  const token = tokenOf(credentials)
  // A certificate beside a token does not change what the token claims.
  if (peerCertificate === undefined || token !== undefined) return ofToken(token, now)
  // Verified, and rejected for something else: a CA bundle that was replaced.
  const { verifyError, subject, notAfter } = peerCertificate
  if (verifyError === undefined) return { user: undefined, isGuess: false }
  return { user: claimedUser('x509', String(subject['CN'] ?? '')), isGuess: now <= notAfter }
}

function tokenOf({ authorization, webSocketToken }: Credentials): string | undefined {
  if (authorization === undefined) return webSocketToken
  try {
    return bearerToken(authorization)
  } catch {
    return ''
  }
}

function ofToken(token: string | undefined, now: number): StatedIdentity {
  const claims = token === undefined ? undefined : unverifiedClaims(token)
  if (claims === undefined) return { user: undefined, isGuess: true }
  const { iss, sub, exp } = claims
  const isExpired = typeof exp === 'number' && exp * 1_000 <= now
  const isNamed = typeof iss === 'string' && typeof sub === 'string'
  return { user: isNamed ? claimedUser('token', iss, sub) : undefined, isGuess: !isExpired }
}

/** A digest of a user by the kind of the credential and what it names: clients choose the length of names. */
export function claimedUser(kind: 'token' | 'x509' | 'ldap', ...names: readonly string[]): string {
  return createHash('sha256')
    .update([kind, ...names].join('\0'))
    .digest('base64url')
}

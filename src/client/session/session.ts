/** A sign-in at one Gatehouse, as it is cached. */
import type { webcrypto } from 'node:crypto'
import { join } from 'node:path'

import type { Server } from '../server.ts'

/** Which sign-in: users may have several accounts, and a Gatehouse several methods. */
export interface SessionId {
  readonly server: Server
  /** Empty for the default account. */
  readonly account: string
  /** Empty for the first method that the server offers. */
  readonly method: string
}

/** What must not leave this machine. */
export interface Secrets {
  /** An ID token, or an access token that is bound to `boundTo`; empty for a sign-in with a password. */
  readonly token: string
  /** What the token is bound to (RFC 8705), PEM; the key is empty if it is in a file of the user. */
  readonly boundTo?: CertificatePair
  readonly refreshToken?: string
  /** A client certificate that Gatehouse has issued, and its private key, both PEM. */
  readonly certificate?: CertificatePair
  /** The private key to which the issuer has bound the refresh token (RFC 9449), a JWK. */
  readonly dpopKey?: webcrypto.JsonWebKey
}

export interface CertificatePair {
  readonly certificate: string
  readonly key: string
}

/** Paths of a certificate and its private key, both PEM. */
export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
}

/** Everything else: who issued the token, for whom, and how to renew it. */
export interface SessionFacts {
  readonly issuer: string
  readonly clientID: string
  /** Only where the issuer requires one of a public client; everybody can read it. */
  readonly clientSecret?: string
  readonly scopes: readonly string[]
  readonly subject: string
  /** When the token is renewed, in milliseconds since the epoch. */
  readonly renewAt: number
  /** When it expires. */
  readonly expiresAt: number
  /** The same of the certificate; absent without one. */
  readonly certificateRenewAt?: number
  readonly certificateExpiresAt?: number
  /** The certificate that the token is bound to, where it is one of the user. */
  readonly certificateFiles?: CertificateFiles
  /** Where the issuer's metadata is, and its CA, PEM; empty for the usual ones. */
  readonly discoveryURL: string
  readonly issuerCA: string
}

export interface Session {
  readonly facts: SessionFacts
  readonly secrets: Secrets
}

/**
 * The file of a session, by server, CA, account and method. The names are readable and need no digest,
 * for which a fast start has no time. The content is compared as well, so a collision of the CA's check
 * sum only means to sign in again.
 */
export function sessionFile(directory: string, { server, account, method }: SessionId): string {
  const { origin, certificateAuthority } = server
  const parts = [origin.slice('https://'.length), account, method].map(fileNamePart)
  return join(directory, `${parts.join(',')},${checksum(certificateAuthority)}.json`)
}

/** Lower-case letters, digits, "." and "-" stand for themselves: file systems may ignore case. */
function fileNamePart(text: string): string {
  const name = text.replaceAll(
    /[^a-z0-9.-]/g,
    (character) => `_${character.charCodeAt(0).toString(16)}_`,
  )
  // Most file systems take 255 bytes for the whole name.
  return name.length <= 80 ? name : `${name.slice(0, 64)}_${checksum(text)}`
}

/** FNV-1a, 32 bits: not a digest, see above. */
function checksum(text: string): string {
  let sum = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193)
  }
  return (sum >>> 0).toString(16).padStart(8, '0')
}

import type { PeerCertificate } from '../../http/exchange.ts'

/** Descriptions of OpenSSL's codes (openssl-verification-options(1), as Node names them). */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'a CA above the certificate has expired',
  CERT_NOT_YET_VALID: 'a CA above the certificate is not valid yet',
  CERT_REVOKED: 'the certificate is revoked',
  CERT_REJECTED: 'the certificate is marked as untrusted',
  CERT_SIGNATURE_FAILURE: 'the signature of the certificate is invalid',
  CERT_UNTRUSTED: 'the CA of the certificate is not trusted for client authentication',
  CERT_CHAIN_TOO_LONG: 'the certificate chain is too long',
  CRL_HAS_EXPIRED: 'the revocation list of its CA has expired: renew authentication.x509.crlFile',
  CRL_NOT_YET_VALID: 'the revocation list of its CA is not valid yet',
  CRL_SIGNATURE_FAILURE: 'the signature of the revocation list of its CA is invalid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed and is not in the client CA bundle',
  INVALID_CA: 'the certificate is signed by an issuer that is not a CA',
  INVALID_PURPOSE: 'the certificate, or a CA above it, is not valid for client authentication',
  PATH_LENGTH_EXCEEDED: 'the path length limit of a CA above the certificate is exceeded',
  SELF_SIGNED_CERT_IN_CHAIN: 'its root CA is not in the client CA bundle',
  UNABLE_TO_GET_CRL: 'there is no revocation list of its CA in authentication.x509.crlFile',
  UNABLE_TO_GET_ISSUER_CERT: 'a CA above the certificate is missing from the client CA bundle',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'it was not issued by a client CA',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it was not issued by a client CA',
}

/**
 * Describes why a chain did not verify, with OpenSSL's code in parentheses; a code without a
 * description is returned alone.
 *
 * @param now milliseconds since the epoch
 */
export function describeVerifyError(
  code: string,
  { notBefore, notAfter }: Pick<PeerCertificate, 'notBefore' | 'notAfter'>,
  now: number,
): string {
  const known = Object.hasOwn(DESCRIPTIONS, code) ? DESCRIPTIONS[code] : undefined
  const description = timeProblem(notBefore, notAfter, now) ?? known
  return description === undefined ? code : `${description} (${code})`
}

/**
 * Why `now` is outside a validity period, undefined when it is not; all in milliseconds since the
 * epoch.
 */
export function timeProblem(notBefore: number, notAfter: number, now: number): string | undefined {
  if (now > notAfter) return `the certificate expired on ${formatTime(notAfter)}`
  if (now < notBefore) return `the certificate is not valid before ${formatTime(notBefore)}`
  return undefined
}

/**
 * Formats milliseconds since the epoch as RFC 3339; a certificate may name a year that `Date`
 * cannot represent.
 */
export function formatTime(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? 'an invalid date' : date.toISOString().replace('.000Z', 'Z')
}

import type { PeerCertificate } from '../../http/exchange.ts'

/** OpenSSL's codes (openssl-verification-options(1), as Node names them) in an operator's words. */
const WORDS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'a CA above the certificate has expired',
  CERT_NOT_YET_VALID: 'a CA above the certificate is not valid yet',
  CERT_REVOKED: 'the certificate is revoked',
  CERT_REJECTED: 'the certificate is marked as not to be trusted',
  CERT_SIGNATURE_FAILURE: 'the signature of the certificate is wrong',
  CERT_UNTRUSTED: 'the CA of the certificate is not for signing users',
  CERT_CHAIN_TOO_LONG: 'there are too many CAs above the certificate',
  CRL_HAS_EXPIRED: 'the revocation list of its CA has expired: renew authentication.x509.crlFile',
  CRL_NOT_YET_VALID: 'the revocation list of its CA is not valid yet',
  CRL_SIGNATURE_FAILURE: 'the signature of the revocation list of its CA is wrong',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is signed by itself and by no client CA',
  INVALID_CA: 'the certificate is signed by one that is no CA',
  INVALID_PURPOSE: 'the certificate, or a CA above it, is not for clients',
  PATH_LENGTH_EXCEEDED: 'a CA above the certificate may not have so many CAs below it',
  SELF_SIGNED_CERT_IN_CHAIN: 'its root CA is none of the client CAs',
  UNABLE_TO_GET_CRL: 'there is no revocation list of its CA in authentication.x509.crlFile',
  UNABLE_TO_GET_ISSUER_CERT: 'a CA above the certificate is missing in the client CA bundle',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'it was issued by none of the client CAs',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it was issued by none of the client CAs',
}

/**
 * Why a chain did not verify: in words, with the code behind them; a code that has none by itself.
 *
 * @param now milliseconds since the epoch
 */
export function describeVerifyError(
  code: string,
  { notBefore, notAfter }: Pick<PeerCertificate, 'notBefore' | 'notAfter'>,
  now: number,
): string {
  const words = timeProblem(notBefore, notAfter, now) ?? (Object.hasOwn(WORDS, code) && WORDS[code])
  return typeof words === 'string' ? `${words} (${code})` : code
}

/** What is wrong with a validity (milliseconds since the epoch); undefined when nothing is. */
export function timeProblem(notBefore: number, notAfter: number, now: number): string | undefined {
  if (now > notAfter) return `the certificate expired on ${dateOf(notAfter)}`
  if (now < notBefore) return `the certificate is valid from ${dateOf(notBefore)} only`
  return undefined
}

/** Milliseconds since the epoch as date and time; a certificate may name a year that no `Date` can hold. */
export function dateOf(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? 'no date' : date.toISOString().replace('.000Z', 'Z')
}

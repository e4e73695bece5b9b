/** The walk from a client's certificate up to the bundle, by whatever certificates lead there. */
import type { X509Certificate } from 'node:crypto'

/** Certificates of a client that are checked, its own included; usual chains have two or three. */
export const MAX_CHAIN = 10

/** A certificate, and one whose key signed it. */
export interface Link {
  readonly certificate: X509Certificate
  readonly issuer: X509Certificate
}

/**
 * Finds the links from the certificate to each of its issuers, from those to theirs and so on. Clients may
 * send cycles, and certificates that cannot be read, which are nobody's issuers.
 */
export function linksAbove(
  certificate: X509Certificate,
  issuers: readonly X509Certificate[],
): readonly Link[] {
  const links: Link[] = []
  const below = [certificate]
  const seen = new Set([certificate.fingerprint256])
  for (const current of below) {
    for (const issuer of issuers) {
      if (!isIssuedBy(current, issuer)) continue
      links.push({ certificate: current, issuer })
      if (!seen.has(issuer.fingerprint256)) below.push(issuer)
      seen.add(issuer.fingerprint256)
    }
  }
  return links
}

/** Whether a CA signed a certificate; false for what cannot be read. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  } catch {
    return false
  }
}

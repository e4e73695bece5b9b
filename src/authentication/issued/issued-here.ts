import { X509Certificate } from 'node:crypto'

import { certificateBlocks } from '../../pem.ts'

/**
 * Makes the check whether one of Gatehouse's own CAs has signed a certificate. The key decides, not the
 * path that TLS has found: a certificate is Gatehouse's, or it is not, whatever else the client sends.
 *
 * @param issuingCA PEM; empty: no certificate is
 */
export function createIssuedHere(issuingCA: string): (certificate: X509Certificate) => boolean {
  const authorities = certificateBlocks(issuingCA).map((pem) => {
    const certificate = new X509Certificate(pem)
    return { certificate, publicKey: certificate.publicKey }
  })
  return (certificate) =>
    authorities.some(
      (authority) =>
        certificate.checkIssued(authority.certificate) &&
        isSignedBy(certificate, authority.publicKey),
    )
}

function isSignedBy(certificate: X509Certificate, key: X509Certificate['publicKey']): boolean {
  try {
    return certificate.verify(key)
  } catch {
    return false
  }
}

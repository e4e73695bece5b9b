import type { X509Certificate } from 'node:crypto'

import type { PeerCertificate } from '../../http/exchange.ts'

/** What a certificate says about itself, before anybody has judged it. */
export type CertificateDescription = Omit<
  PeerCertificate,
  'verifyError' | 'verdictEndsAt' | 'generation' | 'issuedHere' | 'isSelfSigned'
>

/** Reads what a certificate says; nothing is verified. Times are milliseconds since the epoch. */
export function describeCertificate(certificate: X509Certificate): CertificateDescription {
  const legacy = certificate.toLegacyObject()
  return {
    subject: legacy.subject as unknown as PeerCertificate['subject'],
    extKeyUsage: legacy.ext_key_usage,
    isCA: certificate.ca,
    sha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    serialNumber: certificate.serialNumber,
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
  }
}

import { X509Certificate } from 'node:crypto'
import { getCACertificates } from 'node:tls'

import { printable } from '../failure.ts'

/** The certificates of a PEM bundle, each still PEM; text between them is left out. */
export function certificatesIn(pem: string): readonly string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
}

/** Whether every certificate of a bundle can be parsed, and there is one. */
export function isCertificateBundle(pem: string): boolean {
  const certificates = certificatesIn(pem)
  try {
    for (const certificate of certificates) new X509Certificate(certificate)
    return certificates.length > 0
  } catch {
    return false
  }
}

/** The SHA-256 of a certificate as `openssl x509 -fingerprint -sha256` prints it. */
export function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256
}

/** A certificate as people compare it: subject and fingerprint on one line. */
export function describeCertificate(pem: string): string {
  const { subject } = new X509Certificate(pem)
  return `${printable(subject || 'no subject')}  SHA-256 ${fingerprintOf(pem)}`
}

/** Accepts `sha256:` or openssl's `sha256 Fingerprint=` in front, lower case, and no colons. */
export function isSameFingerprint(a: string, b: string): boolean {
  return plain(a) === plain(b)
}

/** Whether a text can be a SHA-256 fingerprint. */
export function isFingerprint(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(plain(text))
}

function plain(fingerprint: string): string {
  return fingerprint
    .replace(/^sha-?256(?: fingerprint)?[:=]/i, '')
    .replaceAll(/[:\s]/g, '')
    .toLowerCase()
}

/** The part of the options of `tls.connect` that says whom to trust. */
export interface Trust {
  readonly ca: string | string[]
  readonly allowPartialTrustChain: boolean
}

/**
 * TLS options that trust a bundle as Go does: every certificate in it is a trust anchor.
 *
 * @param ca PEM; empty for what this machine trusts: the CAs of Node, of `NODE_EXTRA_CA_CERTS` and of the
 * operating system, where companies install their own
 */
export function trusting(ca: string): Trust {
  return ca === ''
    ? { ca: machineCAs(), allowPartialTrustChain: false }
    : { ca, allowPartialTrustChain: true }
}

let known: string[] | undefined

function machineCAs(): string[] {
  known ??= [...getCACertificates('default'), ...getCACertificates('system')]
  return known
}

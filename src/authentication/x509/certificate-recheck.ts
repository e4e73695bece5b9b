/**
 * Checks the certificates of running requests against a new client CA bundle, without a handshake.
 * OpenSSL verified the chain once; this looks only for what the new files may have taken away.
 */
import { X509Certificate } from 'node:crypto'

import { certificateBlocks } from '../../pem.ts'
import type { ClientTrust } from './client-ca.ts'
import { readRevocationLists, type RevocationState } from './revocation.ts'

/** Returns why a certificate is no longer accepted; undefined when it is. */
export type CertificateRecheck = (chain: readonly X509Certificate[]) => string | undefined

/** Certificates of a client that are checked, its own included; usual chains have two or three. */
export const MAX_CHAIN = 10

const NO_CA = 'the certificate no longer chains to a client CA'
const REVOKED: Readonly<Record<Exclude<RevocationState, 'good'>, string>> = {
  revoked: 'the certificate, or a CA above it, is revoked',
  unlisted: 'there is no revocation list of a CA above the certificate',
}

/**
 * Creates the check from one loading of client CA and CRL. A chain (the user's certificate first, then
 * what the client sent with it) passes when signatures lead from it to a self-signed certificate of
 * the bundle, and no list names any of them. Validity periods are ignored: expiry does not end a
 * stream, only what an administrator takes away does. Never throws: what cannot be read is rejected.
 */
export function createCertificateRecheck({ ca, crl }: ClientTrust): CertificateRecheck {
  const bundle = certificatesOf(ca)
  const roots = new Set(bundle.filter(isSelfSigned).map(({ fingerprint256 }) => fingerprint256))
  const revocationOf = crl === undefined ? () => 'good' as const : lookUp(crl)
  // Many running requests share a certificate.
  const known = new Map<string, string | undefined>()

  /** `tried` holds the certificates already visited: those of a client may form a cycle. */
  function problemOf(
    certificate: X509Certificate,
    sent: readonly X509Certificate[],
    tried: Set<string>,
  ): string | undefined {
    const state = revocationOf(certificate)
    if (state !== 'good') return REVOKED[state]
    if (roots.has(certificate.fingerprint256)) return undefined
    let problem = NO_CA
    for (const issuer of [...bundle, ...sent]) {
      if (tried.has(issuer.fingerprint256) || !isIssuedBy(certificate, issuer)) continue
      tried.add(issuer.fingerprint256)
      const above = problemOf(issuer, sent, tried)
      if (above === undefined) return undefined
      problem = above
    }
    return problem
  }

  return (chain) => {
    const [certificate, ...sent] = chain.slice(0, MAX_CHAIN)
    if (certificate === undefined) return NO_CA
    const key = chain.map(({ fingerprint256 }) => fingerprint256).join()
    if (!known.has(key)) known.set(key, problemOf(certificate, sent, new Set()))
    return known.get(key)
  }
}

/**
 * Creates a search for whether signatures lead from a client's certificate, through the certificates
 * that it sent with it, to a CA of the bundle (PEM). It distinguishes a certificate of a foreign CA
 * from one whose CA has no revocation list: OpenSSL reports the missing list for both. Nothing about
 * the certificates is kept.
 */
export function createIssuerSearch(ca: string): (chain: readonly X509Certificate[]) => boolean {
  let bundle: readonly X509Certificate[] | undefined
  return (chain) => {
    bundle ??= certificatesOf(ca)
    for (const [i, certificate] of chain.slice(0, MAX_CHAIN).entries()) {
      const below = chain[i - 1]
      if (below !== undefined && !isIssuedBy(below, certificate)) return false
      if (bundle.some((issuer) => isIssuedBy(certificate, issuer))) return true
    }
    return false
  }
}

function certificatesOf(bundle: string): X509Certificate[] {
  return certificateBlocks(bundle).map((pem) => new X509Certificate(pem))
}

function lookUp(crl: string): (certificate: X509Certificate) => RevocationState {
  try {
    const stateOf = readRevocationLists(crl)
    return (certificate) => orUnlisted(() => stateOf(certificate))
  } catch {
    return () => 'unlisted'
  }
}

/** OpenSSL accepts more than DER, and a client may have sent such a certificate as its CA. */
function orUnlisted(state: () => RevocationState): RevocationState {
  try {
    return state()
  } catch {
    return 'unlisted'
  }
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return isIssuedBy(certificate, certificate)
}

/** Whether a CA signed a certificate; false for what cannot be read. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  } catch {
    return false
  }
}

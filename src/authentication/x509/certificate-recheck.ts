/**
 * Checks a client's certificates against a client CA bundle and its revocation lists, without a
 * handshake: for running requests after a reload, and for revocation after each handshake.
 */
import { X509Certificate } from 'node:crypto'

import { certificateBlocks } from '../../pem.ts'
import { linksAbove, MAX_CHAIN, type Link } from './chain-links.ts'
import type { ClientTrust } from './client-ca.ts'
import {
  createRevocationCheck,
  type RevocationCheck,
  type RevocationProblem,
} from './revocation.ts'

/** Returns why a certificate is no longer accepted; undefined when it is. */
export type CertificateRecheck = (chain: readonly X509Certificate[]) => string | undefined

const UNTRUSTED = 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'
const NO_CA = 'the certificate no longer chains to a client CA'
const REVOKED = 'the certificate, or a CA above it, is revoked'
const UNLISTED = 'there is no revocation list of a CA above the certificate'

/** OpenSSL's codes, as those of the handshake. */
type ChainProblem = RevocationProblem | typeof UNTRUSTED

/**
 * Creates the check from one loading of client CA and CRL. A chain (the user's certificate first, then
 * what the client sent with it) passes when signatures lead from it to a certificate of the bundle,
 * and no list names any of them. Validity periods are ignored: expiry does not end a stream, only what
 * an administrator takes away does. Never throws: what cannot be read is rejected.
 */
export function createCertificateRecheck(trust: ClientTrust): CertificateRecheck {
  const problemOf = createChainCheck(trust)
  // Many running requests share a certificate.
  const known = new Map<string, string | undefined>()
  return (chain) => {
    const key = chain.map(({ fingerprint256 }) => fingerprint256).join()
    if (!known.has(key)) known.set(key, describe(problemOf(chain, undefined)))
    return known.get(key)
  }
}

function describe(problem: ChainProblem | undefined): string | undefined {
  if (problem === undefined) return undefined
  if (problem === UNTRUSTED) return NO_CA
  return problem === 'CERT_REVOKED' ? REVOKED : UNLISTED
}

/**
 * Creates the search for the paths from a client's certificate to the bundle. Every certificate of the
 * bundle is a trust anchor, as in Go, and nothing above it has to be there; if its issuer is in the
 * bundle too, that issuer can revoke it. Every other certificate needs a list of its issuer. None of
 * the paths may contain a revoked certificate: which one OpenSSL has verified is not known, and a
 * client could send another one as well.
 *
 * @returns a function from a chain to OpenSSL's code for a problem. With `now` (milliseconds since the
 * epoch), lists must be valid at that time
 */
export function createChainCheck({
  ca,
  crl,
}: ClientTrust): (
  chain: readonly X509Certificate[],
  now: number | undefined,
) => ChainProblem | undefined {
  const bundle = certificateBlocks(ca).map((pem) => new X509Certificate(pem))
  const anchors = new Set(bundle.map(({ fingerprint256 }) => fingerprint256))
  const revocationOf = crl === undefined ? () => undefined : revocationIn(crl)

  return (chain, now) => {
    const [certificate, ...sent] = chain.slice(0, MAX_CHAIN)
    if (certificate === undefined) return UNTRUSTED
    const found = linksAbove(certificate, [...bundle, ...sent])
    const trusted = trustedBy(found, anchors)
    const links = found.filter(({ issuer }) => trusted.has(issuer.fingerprint256))
    if (links.every((link) => link.certificate !== certificate)) {
      // Nobody can say whether a CA without its issuer, which presents its own certificate, is revoked.
      const isAnchor = anchors.has(certificate.fingerprint256)
      if (!isAnchor) return UNTRUSTED
      return crl === undefined ? undefined : 'UNABLE_TO_GET_CRL'
    }
    const problems = links.flatMap((link) => {
      return revocationOf(link.certificate, link.issuer, now) ?? []
    })
    return problems.includes('CERT_REVOKED') ? 'CERT_REVOKED' : problems[0]
  }
}

/** The fingerprints of the anchors, and of the certificates below them. */
function trustedBy(links: readonly Link[], anchors: ReadonlySet<string>): ReadonlySet<string> {
  const trusted = new Set(anchors)
  for (let before = 0; before < trusted.size;) {
    before = trusted.size
    for (const { certificate, issuer } of links) {
      if (trusted.has(issuer.fingerprint256)) trusted.add(certificate.fingerprint256)
    }
  }
  return trusted
}

function revocationIn(crl: string): RevocationCheck {
  try {
    return createRevocationCheck(crl)
  } catch {
    return () => 'UNABLE_TO_GET_CRL'
  }
}

/** Certificate revocation lists (RFC 5280 section 5.1), as far as a verdict is taken back by one. */
import type { X509Certificate } from 'node:crypto'

import { CONTEXT_0, derElements, derSequence, INTEGER, SEQUENCE, type DerElement } from './der.ts'
import { REVOCATION_LIST } from './pem.ts'

/** Serial numbers by issuer; both are the hex of their DER, since names are compared as encoded. */
type Revoked = ReadonlyMap<string, ReadonlySet<string>>

/** `unlisted`: there is no list of the certificate's issuer, so nobody can say. */
export type RevocationState = 'good' | 'revoked' | 'unlisted'

/**
 * Reads lists that OpenSSL has taken already (PEM, one after the other), and makes the look-up.
 * Their signatures and dates are not looked at: a list that OpenSSL does not believe lets nobody in
 * by a new handshake either.
 *
 * @throws RangeError for what is no list in DER
 */
export function readRevocationLists(
  pem: string,
): (certificate: X509Certificate) => RevocationState {
  const revoked = new Map<string, Set<string>>()
  for (const [, base64 = ''] of pem.matchAll(REVOCATION_LIST)) {
    const { issuer, serials } = readList(Buffer.from(base64, 'base64'))
    const known = revoked.get(issuer) ?? new Set<string>()
    for (const serial of serials) known.add(serial)
    revoked.set(issuer, known)
  }
  return (certificate) => stateOf(certificate, revoked)
}

function stateOf(certificate: X509Certificate, revoked: Revoked): RevocationState {
  const { issuer, serial } = readCertificate(certificate.raw)
  const serials = revoked.get(issuer)
  if (serials === undefined) return 'unlisted'
  return serials.has(serial) ? 'revoked' : 'good'
}

/** `tbsCertList`: version?, signature, issuer, thisUpdate, nextUpdate?, revokedCertificates?, [0]? */
function readList(der: Uint8Array): { issuer: string; serials: string[] } {
  const fields = derSequence(first(derSequence(der)).encoded)
  const [, issuer, , ...rest] = fields[0]?.tag === INTEGER ? fields.slice(1) : fields
  const entries = rest.find(({ tag }) => tag === SEQUENCE)
  return {
    issuer: hexOf(issuer?.encoded),
    serials:
      entries === undefined
        ? []
        : derElements(entries.content).map(({ encoded }) =>
            hexOf(first(derSequence(encoded)).content),
          ),
  }
}

/** `tbsCertificate`: [0]?, serialNumber, signature, issuer … */
function readCertificate(der: Uint8Array): { issuer: string; serial: string } {
  const fields = derSequence(first(derSequence(der)).encoded)
  const [serial, , issuer] = fields[0]?.tag === CONTEXT_0 ? fields.slice(1) : fields
  return { issuer: hexOf(issuer?.encoded), serial: hexOf(serial?.content) }
}

function first([element]: readonly DerElement[]): DerElement {
  if (element === undefined) throw new RangeError('an empty SEQUENCE')
  return element
}

function hexOf(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) throw new RangeError('a field is missing')
  return Buffer.from(bytes).toString('hex')
}

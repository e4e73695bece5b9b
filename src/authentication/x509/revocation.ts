/** Certificate revocation lists (RFC 5280 section 5.1), as far as a verdict is taken back by one. */
import type { X509Certificate } from 'node:crypto'

import {
  CONTEXT_0,
  derElements,
  derSequence,
  derTime,
  INTEGER,
  SEQUENCE,
  TIMES,
  type DerElement,
} from './der.ts'
import { revocationLists } from './pem.ts'

/** Serial numbers by issuer; both are the hex of their DER, since names are compared as encoded. */
type Revoked = ReadonlyMap<string, ReadonlySet<string>>

/** `unlisted`: there is no list of the certificate's issuer, so nobody can say. */
export type RevocationState = 'good' | 'revoked' | 'unlisted'

export interface RevocationList {
  /** Hex of the DER of the issuer's name. */
  readonly issuer: string
  /** The values of that name, for people. */
  readonly issuerName: string
  /** Milliseconds since the epoch, NaN where it is no time. */
  readonly thisUpdate: number
  /** As well; undefined where the list never ends. */
  readonly nextUpdate: number | undefined
  readonly serials: readonly string[]
}

/**
 * Reads lists (PEM, one after the other).
 *
 * @throws RangeError for what is no list in DER
 */
export function parseRevocationLists(pem: string): RevocationList[] {
  return revocationLists(pem).map(readList)
}

/**
 * A certificate's own name as `RevocationList.issuer` has it.
 *
 * @throws RangeError for what is no certificate in DER
 */
export function subjectOf(certificate: X509Certificate): string {
  return readCertificate(certificate.raw).subject
}

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
  for (const { issuer, serials } of parseRevocationLists(pem)) {
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
function readList(der: Uint8Array): RevocationList {
  const fields = derSequence(first(derSequence(der)).encoded)
  const [, issuer, thisUpdate, ...rest] = fields[0]?.tag === INTEGER ? fields.slice(1) : fields
  const entries = rest.find(({ tag }) => tag === SEQUENCE)
  const nextUpdate = rest[0] !== undefined && TIMES.has(rest[0].tag) ? rest[0] : undefined
  return {
    issuer: hexOf(issuer?.encoded),
    issuerName: issuer === undefined ? '' : nameOf(issuer),
    thisUpdate: thisUpdate === undefined ? Number.NaN : derTime(thisUpdate),
    nextUpdate: nextUpdate === undefined ? undefined : derTime(nextUpdate),
    serials:
      entries === undefined
        ? []
        : derElements(entries.content).map(({ encoded }) =>
            hexOf(first(derSequence(encoded)).content),
          ),
  }
}

/** `RDNSequence`: of each attribute its value (RFC 5280 section 4.1.2.4). */
function nameOf({ content }: DerElement): string {
  const values = derElements(content)
    .flatMap((set) => derElements(set.content))
    .flatMap((attribute) => derElements(attribute.content).slice(1))
  return values.map((value) => Buffer.from(value.content).toString('utf8')).join(', ')
}

/** `tbsCertificate`: [0]?, serialNumber, signature, issuer, validity, subject … */
function readCertificate(der: Uint8Array): { issuer: string; serial: string; subject: string } {
  const fields = derSequence(first(derSequence(der)).encoded)
  const [serial, , issuer, , subject] = fields[0]?.tag === CONTEXT_0 ? fields.slice(1) : fields
  return {
    issuer: hexOf(issuer?.encoded),
    serial: hexOf(serial?.content),
    subject: hexOf(subject?.encoded),
  }
}

function first([element]: readonly DerElement[]): DerElement {
  if (element === undefined) throw new RangeError('an empty SEQUENCE')
  return element
}

function hexOf(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) throw new RangeError('a field is missing')
  return Buffer.from(bytes).toString('hex')
}

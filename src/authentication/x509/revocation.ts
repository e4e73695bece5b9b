/**
 * Reads certificate revocation lists (RFC 5280 section 5.1) as far as rechecks and the certificate
 * report need them.
 */
import type { X509Certificate } from 'node:crypto'

import { revocationLists } from '../../pem.ts'
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

/** Serial numbers by issuer, both as hex of their DER: names are compared as encoded. */
type Revoked = ReadonlyMap<string, ReadonlySet<string>>

/** `unlisted`: there is no list of the certificate's issuer, so its state is unknown. */
export type RevocationState = 'good' | 'revoked' | 'unlisted'

export interface RevocationList {
  /** Hex of the DER of the issuer's name. */
  readonly issuer: string
  /** The attribute values of that name, for messages. */
  readonly issuerName: string
  /** Milliseconds since the epoch, NaN if it cannot be parsed. */
  readonly thisUpdate: number
  /**
   * Milliseconds since the epoch, NaN if it cannot be parsed, undefined if the list does not have
   * one.
   */
  readonly nextUpdate: number | undefined
  /** Hex of the DER content of each serial number. */
  readonly serials: readonly string[]
}

/**
 * Reads the lists of a PEM bundle.
 *
 * @throws RangeError for a list that is not DER
 */
export function parseRevocationLists(pem: string): RevocationList[] {
  return revocationLists(pem).map(readList)
}

/**
 * Returns a certificate's subject in the form of `RevocationList.issuer`.
 *
 * @throws RangeError for a certificate that is not DER
 */
export function subjectOf(certificate: X509Certificate): string {
  return readCertificate(certificate.raw).subject
}

/**
 * Reads the lists of a PEM bundle that OpenSSL has already accepted, and returns a lookup in them.
 * Signatures and dates are not checked here: OpenSSL checks them in every handshake, and a list that
 * fails there lets no client in.
 *
 * @throws RangeError for a list that is not DER; the lookup throws it for such a certificate
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

/**
 * `tbsCertList`: version?, signature, issuer, thisUpdate, nextUpdate?, revokedCertificates?, [0]?
 */
function readList(der: Uint8Array): RevocationList {
  const fields = derSequence(first(derSequence(der)).encoded)
  const [, issuer, thisUpdate, ...rest] = fields[0]?.tag === INTEGER ? fields.slice(1) : fields
  const entries = rest.find(({ tag }) => tag === SEQUENCE)
  const nextUpdate = rest[0] !== undefined && TIMES.has(rest[0].tag) ? rest[0] : undefined
  return {
    issuer: hexOf(issuer?.encoded),
    issuerName: issuer === undefined ? '' : readName(issuer),
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

/** The attribute values of an `RDNSequence` (RFC 5280 section 4.1.2.4), joined by commas. */
function readName({ content }: DerElement): string {
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

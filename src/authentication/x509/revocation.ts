/**
 * Reads certificate revocation lists (RFC 5280 section 5.1) and looks certificates up in them.
 *
 * OpenSSL does not do this here: where a trust anchor is not self-signed, it asks for the list of the
 * CA above the anchor and then refuses that list, since nobody vouches for it.
 */
import type { X509Certificate } from 'node:crypto'

import { revocationLists } from '../../pem.ts'
import { nameKey, nameText, readCertificate, readExtensions } from './certificate-fields.ts'
import {
  CONTEXT_0,
  derElements,
  derSequence,
  derTime,
  firstElement,
  hexOf,
  INTEGER,
  SEQUENCE,
  TIMES,
} from './der.ts'
import { signatureVerifier, type SignatureVerifier } from './list-signature.ts'

export interface RevocationList {
  /** Equal for equal names, as `nameKey` compares them. */
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
  readonly serials: ReadonlySet<string>
  /** Why the list cannot be used as the complete list of its issuer; undefined when it can. */
  readonly unsupported: string | undefined
  readonly isSignedBy: SignatureVerifier
}

/** OpenSSL's codes, without the `X509_V_ERR_` prefix, for what a revocation list can say. */
export type RevocationProblem =
  | 'CERT_REVOKED'
  | 'CRL_HAS_EXPIRED'
  | 'CRL_NOT_YET_VALID'
  | 'CRL_SIGNATURE_FAILURE'
  | 'UNABLE_TO_GET_CRL'

/**
 * Looks a certificate up in the lists of its issuer. With `now` (milliseconds since the epoch), one of
 * the lists must be valid at that time.
 */
export type RevocationCheck = (
  certificate: X509Certificate,
  issuer: X509Certificate,
  now: number | undefined,
) => RevocationProblem | undefined

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
 * Makes the lookup in the lists of a PEM bundle. It never throws: a certificate that is not DER has no
 * list.
 *
 * @throws RangeError for a list that is not DER
 */
export function createRevocationCheck(pem: string): RevocationCheck {
  const usable = parseRevocationLists(pem).filter(({ unsupported }) => unsupported === undefined)
  const byIssuer = Map.groupBy(usable, ({ issuer }) => issuer)
  return (certificate, issuer, now) => {
    const fields = fieldsOf(certificate)
    const named = fields === undefined ? [] : (byIssuer.get(fields.issuer) ?? [])
    if (fields === undefined || named.length === 0) return 'UNABLE_TO_GET_CRL'
    const signed = named.filter((list) => isListOf(list, issuer))
    if (signed.length === 0) return 'CRL_SIGNATURE_FAILURE'
    if (signed.some(({ serials }) => serials.has(fields.serial))) return 'CERT_REVOKED'
    return now === undefined ? undefined : timeProblemOf(signed, now)
  }
}

/** Whether a CA signed this list, and may sign lists. */
export function isListOf(list: RevocationList, issuer: X509Certificate): boolean {
  const fields = fieldsOf(issuer)
  return fields?.subject === list.issuer && fields.signsLists && list.isSignedBy(issuer.publicKey)
}

function fieldsOf(certificate: X509Certificate) {
  try {
    return readCertificate(certificate.raw)
  } catch {
    // OpenSSL accepts more than DER, and a client may have sent such a certificate as its CA.
    return undefined
  }
}

function timeProblemOf(
  lists: readonly RevocationList[],
  now: number,
): RevocationProblem | undefined {
  const begun = lists.filter(({ thisUpdate }) => thisUpdate <= now)
  if (begun.length === 0) return 'CRL_NOT_YET_VALID'
  const isValid = begun.some(({ nextUpdate }) => nextUpdate === undefined || now <= nextUpdate)
  return isValid ? undefined : 'CRL_HAS_EXPIRED'
}

/** `CertificateList`: tbsCertList, signatureAlgorithm, signatureValue. */
function readList(der: Uint8Array): RevocationList {
  const [signed, algorithm, signature] = derSequence(der)
  if (signed === undefined || algorithm === undefined || signature === undefined) {
    throw new RangeError('a field of the revocation list is missing')
  }
  return {
    ...readSignedFields(signed.encoded),
    isSignedBy: signatureVerifier({ signed, algorithm, signature }),
  }
}

/**
 * `tbsCertList`: version?, signature, issuer, thisUpdate, nextUpdate?, revokedCertificates?, [0]?
 */
function readSignedFields(der: Uint8Array): Omit<RevocationList, 'isSignedBy'> {
  const fields = derSequence(der)
  const [, issuer, thisUpdate, ...rest] = fields[0]?.tag === INTEGER ? fields.slice(1) : fields
  if (issuer === undefined) throw new RangeError('the issuer of the revocation list is missing')
  const entries = rest.find(({ tag }) => tag === SEQUENCE)
  const revoked = entries === undefined ? [] : derElements(entries.content).map(readEntry)
  const extensions = rest.find(({ tag }) => tag === CONTEXT_0)
  const critical = extensions === undefined ? [] : criticalOf(extensions.content)
  const nextUpdate = rest[0] !== undefined && TIMES.has(rest[0].tag) ? rest[0] : undefined
  return {
    issuer: nameKey(issuer),
    issuerName: nameText(issuer),
    thisUpdate: thisUpdate === undefined ? Number.NaN : derTime(thisUpdate),
    nextUpdate: nextUpdate === undefined ? undefined : derTime(nextUpdate),
    serials: new Set(revoked.map(({ serial }) => serial)),
    unsupported: unsupportedExtension([...critical, ...revoked.flatMap((entry) => entry.critical)]),
  }
}

/** `userCertificate`, revocationDate, crlEntryExtensions? */
function readEntry({ encoded }: { readonly encoded: Uint8Array }) {
  const [serial, , extensions] = derSequence(encoded)
  return {
    serial: hexOf(firstElement([serial].flatMap((element) => element ?? [])).content),
    critical: extensions === undefined ? [] : criticalOf(extensions.encoded),
  }
}

function criticalOf(extensions: Uint8Array): string[] {
  return readExtensions(extensions).flatMap(({ id, critical }) => (critical ? [id] : []))
}

/**
 * RFC 5280 sections 5.2 and 5.3: a list with a critical extension that is not understood must not be
 * used. The critical ones of the standard make a list a delta, or the list of only some of the
 * certificates of its issuer.
 */
function unsupportedExtension(critical: readonly string[]): string | undefined {
  const [id] = critical
  if (id === undefined) return undefined
  return `it has the critical extension ${PARTIAL.get(id) ?? id}`
}

const PARTIAL: ReadonlyMap<string, string> = new Map([
  ['551d1b', 'deltaCRLIndicator (2.5.29.27)'],
  ['551d1c', 'issuingDistributionPoint (2.5.29.28)'],
  ['551d1d', 'certificateIssuer (2.5.29.29)'],
])

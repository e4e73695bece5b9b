/** Reads the fields of certificates and names (RFC 5280 section 4.1) that `node:crypto` does not have. */
import { CONTEXT_0, derElements, derSequence, firstElement, hexOf, type DerElement } from './der.ts'

export interface CertificateFields {
  /** Names in the form of `nameKey`. */
  readonly issuer: string
  readonly subject: string
  /** Hex of the DER content of the serial number. */
  readonly serial: string
  /** Whether keyUsage allows signing revocation lists; without the extension it does. */
  readonly signsLists: boolean
}

export interface Extension {
  /** Hex of the DER content of the object identifier. */
  readonly id: string
  readonly critical: boolean
  /** The content of the OCTET STRING: the extension's own DER. */
  readonly value: Uint8Array
}

const BOOLEAN = 0x01
const BMP_STRING = 0x1e
/** `[3]`, constructed: the extensions of a certificate. */
const CONTEXT_3 = 0xa3
const KEY_USAGE = '551d0f'
/** `cRLSign` is bit 6 of keyUsage, counted from the most significant one (section 4.2.1.3). */
const CRL_SIGN = 0x02

/**
 * `tbsCertificate`: [0]?, serialNumber, signature, issuer, validity, subject … [3]?
 *
 * @throws RangeError for a certificate that is not DER
 */
export function readCertificate(der: Uint8Array): CertificateFields {
  const fields = derSequence(firstElement(derSequence(der)).encoded)
  const [serial, , issuer, , subject] = fields[0]?.tag === CONTEXT_0 ? fields.slice(1) : fields
  if (serial === undefined || issuer === undefined || subject === undefined) {
    throw new RangeError('a field of the certificate is missing')
  }
  const extensions = fields.find(({ tag }) => tag === CONTEXT_3)
  return {
    issuer: nameKey(issuer),
    subject: nameKey(subject),
    serial: hexOf(serial.content),
    signsLists: extensions === undefined || maySignLists(readExtensions(extensions.content)),
  }
}

/** The extensions of a certificate. @throws RangeError for a certificate that is not DER */
export function readCertificateExtensions(der: Uint8Array): Extension[] {
  const fields = derSequence(firstElement(derSequence(der)).encoded)
  const extensions = fields.find(({ tag }) => tag === CONTEXT_3)
  return extensions === undefined ? [] : readExtensions(extensions.content)
}

/** `Extensions`, a SEQUENCE of (extnID, critical?, extnValue). @throws RangeError if it is not DER */
export function readExtensions(der: Uint8Array): Extension[] {
  return derSequence(der).map(({ encoded }) => {
    const [id, ...rest] = derSequence(encoded)
    const value = rest.at(-1)
    if (id === undefined || value === undefined) throw new RangeError('an extension is incomplete')
    const critical = rest.length > 1 && rest[0]?.tag === BOOLEAN && rest[0].content[0] !== 0
    return { id: hexOf(id.content), critical, value: value.content }
  })
}

function maySignLists(extensions: readonly Extension[]): boolean {
  const usage = extensions.find(({ id }) => id === KEY_USAGE)
  if (usage === undefined) return true
  // A BIT STRING: the number of unused bits, then the bits.
  const bits = firstElement(derElements(usage.value)).content
  return ((bits[1] ?? 0) & CRL_SIGN) !== 0
}

/**
 * Returns a string that is equal for equal names: the string types, letter case and repeated spaces
 * do not matter (RFC 5280 section 7.1), as in OpenSSL.
 */
export function nameKey(name: DerElement): string {
  const sets = derElements(name.content).map(({ content }) =>
    derElements(content)
      .map(({ encoded }) => {
        const [type, value] = derSequence(encoded)
        if (type === undefined || value === undefined) throw new RangeError('a name is incomplete')
        const text = textOf(value).trim().replace(/\s+/g, ' ').toLowerCase()
        return [hexOf(type.content), text]
      })
      .sort(([a = '', x = ''], [b = '', y = '']) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1)),
  )
  return JSON.stringify(sets)
}

/** The attribute values of a name, joined by commas. */
export function nameText({ content }: DerElement): string {
  const values = derElements(content)
    .flatMap((set) => derElements(set.content))
    .flatMap((attribute) => derElements(attribute.content).slice(1))
  return values.map(textOf).join(', ')
}

function textOf({ tag, content }: DerElement): string {
  const bytes = Buffer.from(content)
  if (tag !== BMP_STRING) return bytes.toString('utf8')
  return bytes.length % 2 === 0 ? bytes.swap16().toString('utf16le') : bytes.toString('hex')
}

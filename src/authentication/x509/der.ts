/** The subset of DER (ITU-T X.690) that reading certificates and revocation lists needs. */

export const SEQUENCE = 0x30
export const INTEGER = 0x02
/** `[0]`, constructed: the version of a certificate, the extensions of a list. */
export const CONTEXT_0 = 0xa0
const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18
/** The two tags of a `Time`. */
export const TIMES: ReadonlySet<number> = new Set([UTC_TIME, GENERALIZED_TIME])

export interface DerElement {
  readonly tag: number
  /** The contents octets, without tag and length. */
  readonly content: Uint8Array
  /** The whole element, with tag and length. */
  readonly encoded: Uint8Array
}

/**
 * Splits `bytes` into the elements that follow one another in it, without descending into them.
 *
 * @throws RangeError for a length beyond the end of `bytes`, an indefinite length, and a tag number
 * above 30
 */
export function derElements(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = []
  for (let at = 0; at < bytes.length;) {
    const element = elementAt(bytes, at)
    elements.push(element)
    at += element.encoded.length
  }
  return elements
}

/**
 * Returns the elements of the one SEQUENCE that `bytes` consists of.
 *
 * @throws RangeError for anything else
 */
export function derSequence(bytes: Uint8Array): DerElement[] {
  const [sequence, ...others] = derElements(bytes)
  if (sequence?.tag !== SEQUENCE || others.length > 0) {
    throw new RangeError('not a single DER SEQUENCE')
  }
  return derElements(sequence.content)
}

/**
 * Reads a `Time` (RFC 5280 section 4.1.2.5), in milliseconds since the epoch; NaN for anything
 * else.
 */
export function derTime({ tag, content }: DerElement): number {
  const text = Buffer.from(content).toString('latin1')
  const match = /^(\d{2}|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (!TIMES.has(tag) || match === null) return Number.NaN
  const [, year = '', month = '', day = '', hour = '', minute = '', second = ''] = match
  const century = Number(year) >= 50 ? '19' : '20'
  const fullYear = tag === UTC_TIME ? `${century}${year}` : year
  return Date.parse(`${fullYear}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

/** @throws RangeError without an element */
export function firstElement([element]: readonly DerElement[]): DerElement {
  if (element === undefined) throw new RangeError('an empty SEQUENCE')
  return element
}

/** Lower-case hex. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

function elementAt(bytes: Uint8Array, at: number): DerElement {
  const tag = bytes[at] ?? 0
  const first = bytes[at + 1]
  if ((tag & 0x1f) === 0x1f || first === undefined) throw new RangeError('not a DER element')
  const { length, size } = first < 0x80 ? { length: first, size: 0 } : longLength(bytes, at, first)
  const start = at + 2 + size
  const end = start + length
  if (end > bytes.length) throw new RangeError('a DER element is longer than its container')
  return { tag, content: bytes.subarray(start, end), encoded: bytes.subarray(at, end) }
}

function longLength(bytes: Uint8Array, at: number, first: number) {
  const size = first & 0x7f
  const octets = bytes.subarray(at + 2, at + 2 + size)
  // Four octets reach 4 GiB; zero octets is the indefinite form, which DER does not allow.
  if (size === 0 || size > 4 || octets.length < size) throw new RangeError('not a DER length')
  return { size, length: octets.reduce((sum, octet) => sum * 256 + octet, 0) }
}

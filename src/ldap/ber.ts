/**
 * Reads BER as LDAP restricts it (RFC 4511 section 5.1): definite lengths, and tags of one byte. Whatever does
 * not fill its place exactly is an error; nothing has a default.
 */

export interface Element {
  readonly tag: number
  readonly content: Buffer
}

/** What a server has sent is not LDAP. */
export class MalformedResponse extends Error {
  constructor(problem: string) {
    super(`the server sent a malformed response: ${problem}`)
    this.name = 'MalformedResponse'
  }
}

/** Each takes many times the memory of its bytes. */
const MAX_PARTS = 20_000

/** @returns length of the first element of the bytes with its header; undefined when the header is not complete */
export function elementLength(bytes: Buffer): number | undefined {
  const header = headerAt(bytes, 0)
  return header && header.contentStart + header.contentLength
}

/**
 * Splits what a constructed element contains.
 *
 * @throws MalformedResponse
 */
export function elementsIn(content: Buffer): readonly Element[] {
  const elements: Element[] = []
  for (let offset = 0; offset < content.length;) {
    const header = headerAt(content, offset)
    if (header === undefined) throw new MalformedResponse('an element has an incomplete header')
    const { tag, contentStart, contentLength } = header
    const end = contentStart + contentLength
    if (elements.length === MAX_PARTS) {
      throw new MalformedResponse(`an element has more than ${MAX_PARTS} parts`)
    }
    if (end > content.length) throw new MalformedResponse('an element is longer than its parent')
    elements.push({ tag, content: content.subarray(contentStart, end) })
    offset = end
  }
  return elements
}

/** @throws MalformedResponse for what is not from 0 to 2147483647 (RFC 4511 section 4.1.1) */
export function unsigned({ content }: Element): number {
  const first = content[0]
  if (first === undefined || content.length > 4 || first > 0x7f) {
    throw new MalformedResponse('a number is out of range')
  }
  return content.readUIntBE(0, content.length)
}

interface Header {
  readonly tag: number
  readonly contentStart: number
  readonly contentLength: number
}

function headerAt(bytes: Buffer, offset: number): Header | undefined {
  const tag = bytes[offset]
  const first = bytes[offset + 1]
  if (tag === undefined || first === undefined) return undefined
  if ((tag & 0x1f) === 0x1f) throw new MalformedResponse('a tag has several bytes')
  if (first < 0x80) return { tag, contentStart: offset + 2, contentLength: first }
  const count = first & 0x7f
  if (count === 0 || count > 4) throw new MalformedResponse('a length is indefinite, or too long')
  const contentStart = offset + 2 + count
  if (bytes.length < contentStart) return undefined
  return { tag, contentStart, contentLength: bytes.readUIntBE(offset + 2, count) }
}

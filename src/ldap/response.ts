/** Reads the messages that a directory sends (RFC 4511 section 4), and rejects what is not exactly one of them. */
import { elementsIn, MalformedResponse, unsigned, type Element } from './ber.ts'

/** An entry that a search has found. */
export interface Entry {
  readonly dn: string
  /** By the lower-case name of the attribute: names are compared without regard to case. */
  readonly attributes: ReadonlyMap<string, readonly Buffer[]>
}

/** What a server says in words is left out: it may repeat a password, and forge lines of a log. */
export interface LdapResult {
  /** 0: success (RFC 4511 appendix A). */
  readonly code: number
}

export type LdapResponse =
  | { readonly kind: 'entry'; readonly id: number; readonly entry: Entry }
  | { readonly kind: 'reference'; readonly id: number }
  | {
      readonly kind: 'bound' | 'extended' | 'searched'
      /** 0: a notice that belongs to no request. */
      readonly id: number
      readonly result: LdapResult
      /** Of a page, when there may be another one; otherwise empty. */
      readonly cookie: Buffer
    }

const BOOLEAN = 0x01
const INTEGER = 0x02
const OCTET_STRING = 0x04
const ENUMERATED = 0x0a
const SEQUENCE = 0x30
const SET = 0x31
const CONTROLS = 0xa0
const ENTRY = 0x64
const REFERENCE = 0x73
const RESULTS = new Map([
  [0x61, 'bound'],
  [0x65, 'searched'],
  [0x78, 'extended'],
] as const)
/** RFC 2696. */
const PAGED_RESULTS = '1.2.840.113556.1.4.319'
// Without ignoreBOM, a name that begins with U+FEFF would become another one.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads a whole message.
 *
 * @throws MalformedResponse
 */
export function readResponse(message: Buffer): LdapResponse {
  const [envelope] = elementsIn(message)
  const [idElement, operation, controls, ...rest] = elementsIn(content(envelope, SEQUENCE))
  if (operation === undefined || rest.length > 0) {
    throw new MalformedResponse('a message does not have an ID, an operation and perhaps controls')
  }
  const id = unsigned(typed(idElement, INTEGER))
  const cookie = cookieIn(controls)
  if (operation.tag === ENTRY) return { kind: 'entry', id, entry: entryIn(operation.content) }
  if (operation.tag === REFERENCE) {
    for (const uri of elementsIn(operation.content)) typed(uri, OCTET_STRING)
    return { kind: 'reference', id }
  }
  const kind = RESULTS.get(operation.tag as 0x61)
  if (kind === undefined) throw new MalformedResponse('a message is not a known response')
  return { kind, id, result: resultIn(operation.content), cookie }
}

/** @throws MalformedResponse for what is not UTF-8: another text could take its place */
export function utf8(bytes: Buffer): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new MalformedResponse('a text is not UTF-8')
  }
}

/** A referral and what else may follow is of no use here. */
function resultIn(bytes: Buffer): LdapResult {
  const [code, matchedDN, diagnostic, ...others] = elementsIn(bytes)
  typed(matchedDN, OCTET_STRING)
  typed(diagnostic, OCTET_STRING)
  if (others.some(({ tag }) => tag < 0x80)) throw new MalformedResponse('a result has extra values')
  return { code: unsigned(typed(code, ENUMERATED)) }
}

function entryIn(bytes: Buffer): Entry {
  const [name, list, ...others] = elementsIn(bytes)
  if (others.length > 0) throw new MalformedResponse('an entry has extra values')
  const attributes = new Map<string, readonly Buffer[]>()
  for (const attribute of elementsIn(content(list, SEQUENCE))) {
    const [type, values, ...rest] = elementsIn(content(attribute, SEQUENCE))
    const key = utf8(content(type, OCTET_STRING)).toLowerCase()
    if (rest.length > 0 || attributes.has(key)) {
      throw new MalformedResponse('an entry has an attribute twice')
    }
    attributes.set(
      key,
      elementsIn(content(values, SET)).map((value) => content(value, OCTET_STRING)),
    )
  }
  return { dn: utf8(content(name, OCTET_STRING)), attributes }
}

function cookieIn(controls: Element | undefined): Buffer {
  let cookie: Buffer | undefined
  for (const control of controls === undefined ? [] : elementsIn(content(controls, CONTROLS))) {
    const [type, ...fields] = elementsIn(content(control, SEQUENCE))
    if (utf8(content(type, OCTET_STRING)) !== PAGED_RESULTS) continue
    // The criticality may be in front of the value, and means nothing in a response.
    const [value, ...rest] = fields[0]?.tag === BOOLEAN ? fields.slice(1) : fields
    const [page, ...more] = elementsIn(content(value, OCTET_STRING))
    const [size, next, ...others] = elementsIn(content(page, SEQUENCE))
    typed(size, INTEGER)
    if (cookie !== undefined || rest.length + more.length + others.length > 0) {
      throw new MalformedResponse('a control has extra values')
    }
    cookie = content(next, OCTET_STRING)
  }
  return cookie ?? Buffer.alloc(0)
}

function content(element: Element | undefined, tag: number): Buffer {
  return typed(element, tag).content
}

function typed(element: Element | undefined, tag: number): Element {
  if (element?.tag === tag) return element
  throw new MalformedResponse('a value is missing, or of another type')
}

/** Parses the head of an HTTP/1.1 response (RFC 9112 section 4 to 6), strictly. */
import type { UpstreamResponseHeaders } from '../response-headers.ts'
import { invalidResponse } from './invalid-response.ts'

export interface ResponseHead {
  readonly status: number
  /** Names in lower case; values in latin1, without surrounding white space. */
  readonly headers: UpstreamResponseHeaders
  /** How the body is delimited: its length in bytes, 0 when there is none. */
  readonly framing: number | 'chunked'
  /** Whether the API server keeps the connection open. */
  readonly isPersistent: boolean
  /** How long it says that it keeps an unused connection, in milliseconds; undefined when it does not say. */
  readonly keepAlive: number | undefined
}

const STATUS_LINE = /^HTTP\/1\.1 ([1-9][0-9]{2})(?: |$)/
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Digits of a length: 15 stay below the safe integers. */
const LENGTH = /^[0-9]{1,15}$/
const KEEP_ALIVE_TIMEOUT = /(?:^|[\s,;])timeout=([0-9]{1,9})(?=$|[\s,;])/i

/** As Go writes the names that kube-apiserver sends, so that they need not be converted each time. */
const KNOWN_NAMES: ReadonlyMap<string, string> = new Map(
  [
    ...['Audit-Id', 'Cache-Control', 'Connection', 'Content-Encoding', 'Content-Length'],
    ...['Content-Type', 'Date', 'Etag', 'Expires', 'Last-Modified', 'Link', 'Location'],
    ...['Retry-After', 'Transfer-Encoding', 'Vary', 'Warning', 'X-Content-Type-Options'],
    ...['X-Kubernetes-Pf-Flowschema-Uid', 'X-Kubernetes-Pf-Prioritylevel-Uid'],
  ].map((name) => [name, name.toLowerCase()]),
)

const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection'])

type Fields = Record<string, string | string[]>

/**
 * An object in which any name is only a name, `__proto__` and `constructor` included. Unlike one from
 * `Object.create(null)` it has no hash table, which would be much of what a response allocates.
 */
class FieldsOfHead {
  [name: string]: string | string[]
}
Reflect.deleteProperty(FieldsOfHead.prototype, 'constructor')
Object.setPrototypeOf(FieldsOfHead.prototype, null)

/**
 * @param text the head in latin1 with the empty line at its end. Its lines end in CRLF, and nothing else
 * in it is a control character but tabs
 * @param isHead whether the request was HEAD, whose response has no body
 * @throws UpstreamError 502
 */
export function parseResponseHead(text: string, isHead: boolean): ResponseHead {
  const lineEnd = text.indexOf('\r\n')
  const status = Number(STATUS_LINE.exec(text.slice(0, lineEnd))?.[1])
  if (!(status <= 599)) throw invalidResponse('invalid status line')
  const fields = parseFields(text, lineEnd + 2)
  const isPersistent = !hasOption(fields['connection'], 'close')
  if (status < 200 && !isPersistent) throw invalidResponse('a close before the final response')
  return {
    status,
    headers: fields,
    framing: framingOf(status, fields, isHead),
    isPersistent,
    keepAlive: keepAliveOf(fields['keep-alive']),
  }
}

/**
 * Checks trailers, which nobody reads.
 *
 * @param text the lines and the empty line at their end
 * @throws UpstreamError 502
 */
export function checkTrailers(text: string): void {
  const fields = parseFields(text, 0)
  if ('content-length' in fields || 'transfer-encoding' in fields) {
    throw invalidResponse('framing in trailers')
  }
}

/**
 * Parses the lines of fields from `at` to the empty line.
 *
 * @throws UpstreamError 502 for a line that is not exactly a name, a colon and a value
 */
function parseFields(text: string, at: number): Fields {
  const fields: Fields = new FieldsOfHead()
  for (let lineStart = at; ;) {
    const lineEnd = text.indexOf('\r\n', lineStart)
    if (lineEnd === lineStart) return fields
    const colon = text.indexOf(':', lineStart)
    if (lineEnd === -1 || colon === -1 || colon > lineEnd) {
      throw invalidResponse('header line without a colon')
    }
    const name = nameOf(text.slice(lineStart, colon))
    // White space, but llhttp takes it for a part of the value, and the response for another one.
    if (FRAMING.has(name) && text.slice(colon, lineEnd).includes('\t')) {
      throw invalidResponse('a tab in a framing field')
    }
    add(fields, name, valueOf(text, colon + 1, lineEnd))
    lineStart = lineEnd + 2
  }
}

/** Neither a space before the colon nor one at the beginning of a folded line is part of a name. */
function nameOf(raw: string): string {
  const known = KNOWN_NAMES.get(raw)
  if (known !== undefined) return known
  if (!TOKEN.test(raw)) throw invalidResponse('invalid header name')
  return raw.toLowerCase()
}

function valueOf(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

function add(fields: Fields, name: string, value: string): void {
  const earlier = fields[name]
  if (earlier === undefined) fields[name] = value
  else if (typeof earlier === 'string') fields[name] = [earlier, value]
  else earlier.push(value)
}

/**
 * RFC 9112 section 6.3. Kubernetes' API servers announce the end of every body; one that the end of the
 * connection delimits could be cut short unnoticed.
 */
function framingOf(status: number, fields: Fields, isHead: boolean): number | 'chunked' {
  const length = lengthOf(fields['content-length'])
  const isChunked = isChunkedBy(fields['transfer-encoding'])
  if (isChunked && length !== undefined) throw invalidResponse('a length and a transfer coding')
  if (status < 200 || status === 204) {
    if (!isChunked && (length ?? 0) === 0) return 0
    throw invalidResponse(`a body in a response with status ${status}`)
  }
  if (isHead || status === 304) return 0
  if (isChunked) return 'chunked'
  if (length === undefined) throw invalidResponse('neither a length nor a transfer coding')
  return length
}

function isChunkedBy(coding: string | string[] | undefined): boolean {
  if (coding === undefined) return false
  if (typeof coding === 'string' && coding.toLowerCase() === 'chunked') return true
  throw invalidResponse('a transfer coding other than chunked')
}

function lengthOf(value: string | string[] | undefined): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || !LENGTH.test(value)) throw invalidResponse('invalid length')
  return Number(value)
}

function hasOption(value: string | string[] | undefined, option: string): boolean {
  if (value === undefined) return false
  const text = typeof value === 'string' ? value : value.join(',')
  return text
    .toLowerCase()
    .split(',')
    .some((each) => each.trim() === option)
}

/** Not in an RFC any more, but load balancers send it. */
function keepAliveOf(value: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string') return undefined
  const seconds = KEEP_ALIVE_TIMEOUT.exec(value)?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1_000
}

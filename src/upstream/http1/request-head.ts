/**
 * Writes the head of an HTTP/1.1 request. Every part is checked once more, whoever has checked it before:
 * one line break or one framing field too many, and the API server would read another request.
 */
import { StatusError } from '../../status.ts'
import { UpstreamError } from '../errors.ts'

export interface RequestHead {
  readonly method: string
  readonly path: string
  /** From `../headers.ts`: name, value pairs, `host` first. */
  readonly headers: readonly string[]
  /** Fields of the transport itself: framing, or an upgrade. */
  readonly ownHeaders: readonly string[]
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const PATH = /^\/[\x21-\x7e]*$/
/** Latin1 without control characters but tabs. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** Fields that only `ownHeaders` may contain: they delimit messages, or change what follows. */
const OWN: ReadonlySet<string> = new Set([
  ...['connection', 'content-length', 'expect', 'http2-settings', 'keep-alive'],
  ...['proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
])

/** Names that most requests have, as Gatehouse writes them: the starts of their lines need no check. */
const KNOWN_STARTS: ReadonlyMap<string, string> = new Map(
  [
    ...['accept', 'accept-encoding', 'audit-id', 'authorization', 'content-type', 'user-agent'],
    ...['impersonate-group', 'impersonate-uid', 'impersonate-user', 'x-forwarded-for'],
    ...['x-remote-group', 'x-remote-uid', 'x-remote-user'],
  ].map((name) => [name, lineStart(name)]),
)

/**
 * @returns the head in latin1, with the empty line at its end
 * @throws UpstreamError 400 for a character that must not be in a head
 * @throws StatusError 500 when the headers contain what they must not, or not exactly one `host`
 */
export function formatRequestHead({ method, path, headers, ownHeaders }: RequestHead): string {
  let text = requestLine(method, path) + hostLine(headers)
  for (let i = 2; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    // Piece by piece: each intermediate string is an allocation.
    text =
      text + (KNOWN_STARTS.get(name) ?? forwardedStart(name)) + checkedValue(headers[i + 1] ?? '')
  }
  for (let i = 0; i < ownHeaders.length; i += 2) {
    text = text + lineStart(ownHeaders[i] ?? '') + checkedValue(ownHeaders[i + 1] ?? '')
  }
  return `${text}\r\n\r\n`
}

function requestLine(method: string, path: string): string {
  if (!TOKEN.test(method) || !PATH.test(path)) throw unsafe()
  return `${method} ${path} HTTP/1.1`
}

function hostLine(headers: readonly string[]): string {
  if (headers[0]?.toLowerCase() !== 'host') throw misplaced('host')
  return lineStart('host') + checkedValue(headers[1] ?? '')
}

function forwardedStart(name: string): string {
  const lower = name.toLowerCase()
  if (OWN.has(lower) || lower === 'host') throw misplaced(name)
  return lineStart(name)
}

function lineStart(name: string): string {
  if (!TOKEN.test(name)) throw unsafe()
  return `\r\n${name}: `
}

function checkedValue(value: string): string {
  if (!VALUE.test(value)) throw unsafe()
  return value
}

function unsafe(): UpstreamError {
  return new UpstreamError('request', 'BadRequest', 'the request cannot be forwarded')
}

function misplaced(name: string): StatusError {
  return new StatusError('InternalError', 'the request cannot be forwarded', {
    cause: new Error(`misplaced or missing request header: ${name}`),
  })
}

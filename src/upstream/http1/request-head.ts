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

/**
 * @returns the head in latin1, with the empty line at its end
 * @throws UpstreamError 400 for a character that must not be in a head
 * @throws StatusError 500 when the headers contain what they must not, or not exactly one `host`
 */
export function formatRequestHead({ method, path, headers, ownHeaders }: RequestHead): string {
  if (!TOKEN.test(method) || !PATH.test(path)) throw unsafe()
  let text = `${method} ${path} HTTP/1.1\r\n`
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    const lower = name.toLowerCase()
    if (OWN.has(lower) || (lower === 'host') !== (i === 0)) throw misplaced(name)
    text += fieldLine(name, headers[i + 1] ?? '')
  }
  for (let i = 0; i < ownHeaders.length; i += 2) {
    text += fieldLine(ownHeaders[i] ?? '', ownHeaders[i + 1] ?? '')
  }
  return `${text}\r\n`
}

function fieldLine(name: string, value: string): string {
  if (!TOKEN.test(name) || !VALUE.test(value)) throw unsafe()
  return `${name}: ${value}\r\n`
}

function unsafe(): UpstreamError {
  return new UpstreamError('request', 'BadRequest', 'the request cannot be forwarded')
}

function misplaced(name: string): StatusError {
  return new StatusError('InternalError', 'the request cannot be forwarded', {
    cause: new Error(`misplaced or missing request header: ${name}`),
  })
}

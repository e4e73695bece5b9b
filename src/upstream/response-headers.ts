/** Filters the API server's response head for the client. */
import type { RawHeaders } from '../http/exchange.ts'
import { unusableResponse, UpstreamError } from './errors.ts'

/**
 * Hop-by-hop fields; fields that Gatehouse sets itself; and fields about the API server's origin,
 * which the client would apply to Gatehouse's (cookies, alternative services).
 */
const DROPPED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'audit-id',
  'strict-transport-security',
  'alt-svc',
  'set-cookie',
])

/**
 * Single-value fields, which Node refuses to write twice over HTTP/2. The first value is forwarded: a
 * request that was carried out must not be reported as failed because its response repeats a field.
 */
const SINGLE: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
])

/** List fields that Node treats as single-value: repeated ones are joined by commas (RFC 9110 section 5.3). */
const LISTS: ReadonlySet<string> = new Set(['content-encoding', 'content-language'])

/** Fields in a response: kube-apiserver sends a dozen, and HTTP/2 clients reject some thousand. */
const MAX_FIELDS = 256

export type UpstreamResponseHeaders = Readonly<Record<string, string | string[] | undefined>>

/**
 * Copies the fields that may be forwarded.
 *
 * @param own Gatehouse's own fields, which come first
 * @throws UpstreamError 502 for too many fields
 */
export function responseHeaders(upstream: UpstreamResponseHeaders, own: RawHeaders): string[] {
  const headers = [...own]
  const listed = connectionListed(upstream['connection'])
  for (const name in upstream) {
    // HTTP/2 pseudo-headers are not fields.
    if (DROPPED.has(name) || name.startsWith(':') || listed?.has(name) === true) continue
    const value = upstream[name]
    if (typeof value === 'string') headers.push(name, value)
    else if (value !== undefined) pushEach(headers, name, value)
  }
  if (headers.length - own.length > MAX_FIELDS * 2) {
    throw unusableResponse("the API server's response has too many header fields")
  }
  return headers
}

function pushEach(headers: string[], name: string, values: readonly string[]): void {
  if (SINGLE.has(name)) headers.push(name, values[0] ?? '')
  else if (LISTS.has(name)) headers.push(name, values.join(', '))
  else for (const one of values) headers.push(name, one)
}

function connectionListed(value: string | string[] | undefined): Set<string> | undefined {
  if (value === undefined) return undefined
  const text = typeof value === 'string' ? value : value.join(',')
  if (text === 'keep-alive' || text === 'close') return undefined
  return new Set(
    text
      .toLowerCase()
      .split(',')
      .map((option) => option.trim()),
  )
}

/**
 * Refuses responses that must not be relayed.
 *
 * @param isConnect whether a backend behind the API server responds (a proxy subresource)
 * @throws UpstreamError 502
 */
export function checkResponse(
  status: number,
  headers: UpstreamResponseHeaders,
  isConnect: boolean,
): void {
  if (status > 599 || status < 200) {
    throw unusableResponse(`the API server responded with the invalid status ${status}`)
  }
  if (!isConnect) refuseChallenge(status)
  const location = headers['location']
  if (status >= 300 && status < 400 && location !== undefined) {
    const target = typeof location === 'string' ? location : (location[0] ?? '')
    // CVE-2022-3172: a client must not follow a redirect to another host with its credentials. Many
    // clients read `//host` and `/\host` as another host.
    if (!/^\/(?![/\\])[\x21-\x7e]*$/.test(target)) {
      throw unusableResponse(
        'the API server responded with a redirect that may lead to another host',
      )
    }
  }
}

/** The client is authenticated already: a response must not ask it for another credential. */
function refuseChallenge(status: number): void {
  if (status === 401) {
    // The API server rejected Gatehouse's own credential. A forwarded 401 would make every user sign in
    // again.
    throw new UpstreamError(
      'credential',
      'BadGateway',
      "the API server does not accept Gatehouse's own credential; contact your Gatehouse administrator",
      { cause: new Error('the API server responded with status 401') },
    )
  }
  if (status === 407) {
    throw unusableResponse('a proxy in front of the API server requires authentication (407)')
  }
}

/** What of the API server's response head reaches the client. */
import type { RawHeaders } from '../http/exchange.ts'
import { StatusError } from '../status.ts'
import { OWN_CREDENTIAL_REFUSED } from './errors.ts'

/**
 * Hop-by-hop fields; fields that Gatehouse sets itself; and what would speak for the API server's
 * origin where Gatehouse answers (cookies, other endpoints).
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
 * Fields of one value, which node refuses to write twice over HTTP/2. Of two the first counts: the
 * second is a fault of whoever answers, and what was carried out must not be told as failed for it.
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

/** Lists that node takes for fields of one value: two of them are one with a comma (RFC 9110 section 5.3). */
const LISTS: ReadonlySet<string> = new Set(['content-encoding', 'content-language'])

/** Fields of an answer. kube-apiserver sends a dozen; some thousand are more than HTTP/2 clients take. */
const MAX_FIELDS = 256

export type UpstreamResponseHeaders = Readonly<Record<string, string | string[] | undefined>>

/**
 * Copies what may pass.
 *
 * @param own Gatehouse's fields, put in front
 * @throws StatusError 502 for more fields than an answer has
 */
export function responseHeaders(upstream: UpstreamResponseHeaders, own: RawHeaders): string[] {
  const headers = [...own]
  const listed = connectionListed(upstream['connection'])
  for (const name in upstream) {
    // HTTP/2 pseudo-headers are no fields.
    if (DROPPED.has(name) || name.startsWith(':') || listed?.has(name) === true) continue
    const value = upstream[name]
    if (typeof value === 'string') headers.push(name, value)
    else if (value !== undefined) pushEach(headers, name, value)
  }
  if (headers.length - own.length > MAX_FIELDS * 2) {
    throw new StatusError('BadGateway', "the API server's answer has too many header fields")
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
 * Refuses answers that must not be relayed.
 *
 * @param isConnect whether a backend behind the API server answers (a proxy subresource)
 * @throws StatusError 502
 */
export function checkResponse(
  status: number,
  headers: UpstreamResponseHeaders,
  isConnect: boolean,
): void {
  if (status > 599 || status < 200) {
    throw new StatusError('BadGateway', `the API server answered with status ${status}`)
  }
  if (!isConnect) refuseChallenge(status)
  const location = headers['location']
  if (status >= 300 && status < 400 && location !== undefined) {
    const target = typeof location === 'string' ? location : (location[0] ?? '')
    // CVE-2022-3172: a client with credentials must not be sent elsewhere. `//host` and `/\host` are
    // other hosts to many clients.
    if (!/^\/(?![/\\])[\x21-\x7e]*$/.test(target)) {
      throw new StatusError(
        'BadGateway',
        'the API server answered with a redirect to another place',
      )
    }
  }
}

/** The client's credential was good, and no answer of the API server asks it for another. */
function refuseChallenge(status: number): void {
  if (status === 401) {
    // It is Gatehouse's own that the API server does not take. Passed on, the 401 would send every
    // user to log in again.
    throw new StatusError(
      'BadGateway',
      "the API server does not accept Gatehouse's own credential; this is for whoever runs Gatehouse to fix",
      { cause: Object.assign(new Error('answered 401'), { code: OWN_CREDENTIAL_REFUSED }) },
    )
  }
  if (status === 407) {
    throw new StatusError('BadGateway', 'a proxy before the API server asks for a credential (407)')
  }
}

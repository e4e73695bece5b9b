/** What of the API server's response head reaches the client. */
import type { RawHeaders } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

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
  'audit-id',
  'strict-transport-security',
  'alt-svc',
  'set-cookie',
])

export type UpstreamResponseHeaders = Readonly<Record<string, string | string[] | undefined>>

/**
 * Copies what may pass.
 *
 * @param own Gatehouse's fields, put in front
 */
export function responseHeaders(upstream: UpstreamResponseHeaders, own: RawHeaders): string[] {
  const headers = [...own]
  const listed = connectionListed(upstream['connection'])
  for (const name in upstream) {
    // HTTP/2 pseudo-headers are no fields.
    if (DROPPED.has(name) || name.startsWith(':') || listed?.has(name) === true) continue
    const value = upstream[name]
    if (typeof value === 'string') headers.push(name, value)
    else if (value !== undefined) for (const one of value) headers.push(name, one)
  }
  return headers
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
  if (status === 401 && !isConnect) {
    // The client's credential was good: it is Gatehouse's own that the API server does not take.
    // Passed on, the 401 would send every user to log in again.
    throw new StatusError(
      'BadGateway',
      "the API server does not accept Gatehouse's own credential; this is for whoever runs Gatehouse to mend",
    )
  }
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

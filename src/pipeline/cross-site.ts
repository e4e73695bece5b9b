/**
 * Refuses what another site makes a browser send. A browser presents the user's client certificate with
 * every request to Gatehouse, whichever site the request comes from, and WebSockets are exempt from the
 * same-origin policy (cross-site WebSocket hijacking). A token has to be added by the client itself.
 */
import type { ClientConnection } from '../http/exchange.ts'
import type { InspectedHeaders } from '../http/inspect.ts'
import { StatusError } from '../status.ts'

export interface OriginPolicy {
  /** Origins of other sites that may use the certificates of their users, as browsers write them. */
  readonly allowedOrigins: ReadonlySet<string>
  /** Whether clients know Gatehouse by this host: a name or an address, in lower case. */
  readonly isServingName: (host: string) => boolean
}

const MAX_QUOTED = 200

/**
 * @throws StatusError 403 when the connection has a client certificate and `Sec-Fetch-Site` (W3C Fetch
 * Metadata) or `Origin` (RFC 6454) names another site
 */
export function refuseCrossSite(
  connection: ClientConnection,
  { origin, fetchSite }: Pick<InspectedHeaders, 'origin' | 'fetchSite'>,
  { allowedOrigins, isServingName }: OriginPolicy,
): void {
  if (origin === undefined && fetchSite === undefined) return
  if (connection.peerCertificate === undefined) return
  if (origin !== undefined && allowedOrigins.has(origin)) return
  // `none`: the user typed the address, or followed a bookmark.
  const isOwnSite = fetchSite === undefined || fetchSite === 'same-origin' || fetchSite === 'none'
  if (!isOwnSite) throw refusal(`Sec-Fetch-Site: ${fetchSite}`)
  if (origin !== undefined && !isOwnOrigin(origin, isServingName)) {
    throw refusal(`Origin: ${origin}`)
  }
}

/** Some WebSocket libraries (Python's websocket-client) send the server's own origin. */
function isOwnOrigin(origin: string, isServingName: (host: string) => boolean): boolean {
  const url = URL.parse(origin)
  if (url?.origin !== withoutDefaultPort(origin)) return false
  return url.protocol === 'https:' && isServingName(url.hostname.replace(/^\[|\]$/g, ''))
}

/** Browsers leave the default port out (RFC 6454 section 6.2), libraries may write it. */
function withoutDefaultPort(origin: string): string {
  return origin.toLowerCase().replace(/:443$/, '')
}

function refusal(field: string): StatusError {
  return new StatusError(
    'Forbidden',
    'a request with a client certificate is not allowed from another site ' +
      `(${JSON.stringify(field.slice(0, MAX_QUOTED))}): ask your Gatehouse administrator to list the ` +
      'origin in authentication.x509.allowedOrigins, or use a token',
  )
}

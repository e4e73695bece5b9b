/**
 * Reads everything that the stages need from the header fields in one pass. It refuses only repeated
 * fields that must be single, since no stage could interpret them.
 */
import { StatusError } from '../status.ts'
import type { RawHeaders } from './exchange.ts'

export interface InspectedHeaders {
  readonly authorization: string | undefined
  /** Every `Sec-WebSocket-Protocol` field value, not split at commas. */
  readonly webSocketProtocols: readonly string[]
  /** Name of the first impersonation header, as sent; undefined when there is none. */
  readonly impersonation: string | undefined
  /** Several values of `Origin` or `Sec-Fetch-Site` are joined, which makes none that is valid. */
  readonly origin: string | undefined
  readonly fetchSite: string | undefined
}

/**
 * @throws StatusError 400 when `Authorization` or `Host` is sent more than once (RFC 9110 section 5.3:
 * they are not lists), since two parsers could use different ones
 */
export function inspectHeaders(rawHeaders: RawHeaders): InspectedHeaders {
  const inspection = new Inspection()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    inspection.add(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '')
  }
  return inspection
}

class Inspection implements InspectedHeaders {
  authorization: string | undefined
  impersonation: string | undefined
  origin: string | undefined
  fetchSite: string | undefined
  webSocketProtocols: string[] = []
  #hosts = 0

  add(name: string, value: string): void {
    const lower = name.toLowerCase()
    switch (lower) {
      case 'authorization':
        if (this.authorization !== undefined) throw repeated('Authorization')
        this.authorization = value
        break
      case 'host':
        this.#hosts += 1
        if (this.#hosts > 1) throw repeated('Host')
        break
      case 'sec-websocket-protocol':
        this.webSocketProtocols.push(value)
        break
      case 'origin':
        this.origin = joined(this.origin, value)
        break
      case 'sec-fetch-site':
        this.fetchSite = joined(this.fetchSite, value)
        break
      default:
        if (isImpersonation(lower)) this.impersonation ??= name
    }
  }
}

/** `_` counts as `-`, because some servers treat them alike (RFC 3875 section 4.1.18). */
function isImpersonation(lowerName: string): boolean {
  return (
    lowerName.startsWith('impersonate-') ||
    lowerName.replaceAll('_', '-').startsWith('impersonate-')
  )
}

function joined(earlier: string | undefined, value: string): string {
  return earlier === undefined ? value : `${earlier}, ${value}`
}

function repeated(name: string): StatusError {
  return new StatusError('BadRequest', `the ${name} header must not be sent more than once`, {
    closeConnection: true,
  })
}

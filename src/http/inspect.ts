/**
 * One look over a request's header fields, for everything that the stages want to know of them.
 * Nothing is decided here but what no stage could make sense of: doubled fields that must be single.
 */
import { StatusError } from '../status.ts'
import type { RawHeaders } from './exchange.ts'

export interface InspectedHeaders {
  readonly authorization: string | undefined
  /** Every `Sec-WebSocket-Protocol` value, unsplit. */
  readonly webSocketProtocols: readonly string[]
  /** Name of the first header that asks for another identity, as sent; undefined when none does. */
  readonly impersonation: string | undefined
}

/**
 * @throws StatusError 400 when `Authorization` or `Host` stands twice (RFC 9110 section 5.3: they are
 * not lists), since two readers could take different ones
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
  webSocketProtocols: string[] = []
  #hosts = 0

  add(name: string, value: string): void {
    const lower = name.toLowerCase()
    switch (lower) {
      case 'authorization':
        if (this.authorization !== undefined) throw doubled('Authorization')
        this.authorization = value
        break
      case 'host':
        this.#hosts += 1
        if (this.#hosts > 1) throw doubled('Host')
        break
      case 'sec-websocket-protocol':
        this.webSocketProtocols.push(value)
        break
      default:
        if (asksForIdentity(lower)) this.impersonation ??= name
    }
  }
}

/** `_` counts as `-`: some servers fold the two (CGI's rule), so neither spelling is let by. */
function asksForIdentity(lowerName: string): boolean {
  return (
    lowerName.startsWith('impersonate-') ||
    lowerName.replaceAll('_', '-').startsWith('impersonate-')
  )
}

function doubled(name: string): StatusError {
  return new StatusError('BadRequest', `the ${name} header must not be sent more than once`, {
    closeConnection: true,
  })
}

import type { AuditRecord } from '../audit/record.ts'
import type { Exchange } from '../http/exchange.ts'
import { closeWithin } from '../http/response-deadline.ts'
import type { Frame, Handled } from '../pipeline/frame.ts'
import { StatusError } from '../status.ts'

/** How long a client may take to read a response of a few kilobytes. */
const RESPONSE_DEADLINE_MS = 10_000

export interface OwnResponse {
  readonly code: number
  /** Name, value, name, value. */
  readonly headers: readonly string[]
  readonly body: string
}

/** Writes a small response of Gatehouse itself; a HEAD request gets only its head. */
export function respond(
  exchange: Exchange,
  record: AuditRecord,
  ownHeaders: Frame['ownHeaders'],
  { code, headers, body }: OwnResponse,
): Handled {
  const { request, response } = exchange
  response.writeHead(code, [
    ...ownHeaders(record),
    ...headers,
    'X-Content-Type-Options',
    'nosniff',
    // RFC 9110 section 8.6: a 304 has the length that a 200 would have, or none.
    ...(code === 304 ? [] : ['Content-Length', String(Buffer.byteLength(body))]),
  ])
  if (request.method === 'HEAD' || code === 304) response.end()
  else response.end(body)
  closeWithin(exchange, RESPONSE_DEADLINE_MS)
  return { code }
}

/**
 * Refuses what a request for a document of Gatehouse must not have.
 *
 * @throws StatusError 405 for other methods than GET and HEAD, 400 for a body or an upgrade
 */
export function requireRead(exchange: Exchange): void {
  const { request } = exchange
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new StatusError('MethodNotAllowed', `${request.method} is not allowed here: use GET`, {
      headers: { Allow: 'GET, HEAD' },
      closeConnection: request.hasBody,
    })
  }
  requireBodyless(exchange)
}

/** @throws StatusError 400 for a body or an upgrade */
export function requireBodyless({ request }: Exchange): void {
  if (request.isUpgrade || request.hasBody) {
    const what = request.isUpgrade ? 'an upgrade' : 'a body'
    throw new StatusError('BadRequest', `a request for this path must not have ${what}`, {
      closeConnection: true,
    })
  }
}

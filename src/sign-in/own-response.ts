import type { AuditRecord } from '../audit/record.ts'
import { unrecorded } from '../audit/unrecorded.ts'
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
  /** For the audit record: the lock that was set or lifted. */
  readonly lock?: string | undefined
  /** For the audit record: the sign-ins that were ended. */
  readonly revocation?: string | undefined
}

/**
 * Writes a small response of Gatehouse itself; a HEAD request gets only its head. If the audit mode says
 * so, its event comes first.
 *
 * @throws StatusError 503 when the event that the response waits for cannot be written
 */
export async function respond(
  exchange: Exchange,
  record: AuditRecord,
  ownHeaders: Frame['ownHeaders'],
  { code, headers, body, lock, revocation }: OwnResponse,
): Promise<Handled> {
  const { request, response } = exchange
  const hasBody = request.method !== 'HEAD' && code !== 304
  const handled = {
    code,
    ...(lock === undefined ? {} : { lock }),
    ...(revocation === undefined ? {} : { revocation }),
  }
  if (record.holdsResponse) {
    const bytesSent = hasBody ? Buffer.byteLength(body) : 0
    record.close({ ...handled, bytesReceived: exchange.bytesReceived, bytesSent })
    // Undefined where one event stands for many requests of unauthenticated clients.
    if ((await record.recorded) === false) throw withheld(exchange)
  }
  response.writeHead(code, [
    ...ownHeaders(record),
    ...headers,
    'X-Content-Type-Options',
    'nosniff',
    // RFC 9110 section 8.6: a 304 has the length that a 200 would have, or none.
    ...(code === 304 ? [] : ['Content-Length', String(Buffer.byteLength(body))]),
  ])
  if (hasBody) response.end(body)
  else response.end()
  closeWithin(exchange, RESPONSE_DEADLINE_MS)
  return handled
}

/**
 * Must be called before a request changes something.
 *
 * @throws StatusError 503 when the audit mode requires an event of it first, which cannot be written
 */
export async function recordChange(record: AuditRecord): Promise<void> {
  record.forwarding()
  if (record.recorded !== undefined && !(await record.recorded)) throw unrecorded()
}

function withheld({ request: { method } }: Exchange): StatusError {
  return method === 'GET' || method === 'HEAD'
    ? unrecorded()
    : new StatusError(
        'ServiceUnavailable',
        'the audit log cannot be written, so the response is withheld; the request may have been carried out',
      )
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

/** @throws StatusError 405 for another method */
export function requirePost({ request: { method, hasBody } }: Exchange): void {
  if (method === 'POST') return
  throw new StatusError('MethodNotAllowed', `${method} is not allowed here: use POST`, {
    headers: { Allow: 'POST' },
    closeConnection: hasBody,
  })
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

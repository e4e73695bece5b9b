/**
 * Whatever a stage threw becomes a `metav1.Status` answer. What has no framing to rely on never gets
 * to a stage, and is answered by http1-server.ts.
 */
import { StatusError, statusBody } from '../status.ts'
import type { Exchange, RawHeaders } from './exchange.ts'
import { closeWithin } from './response-deadline.ts'

/**
 * What of an error a client may see.
 *
 * @returns the error itself when it is a `StatusError`, else a 500 that says nothing of the inside
 */
export function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error
  return new StatusError('InternalError', 'Internal error occurred: see the log of Gatehouse', {
    cause: error,
  })
}

/** Milliseconds; a refusal is small. */
const TAKEN_WITHIN = 5_000

/**
 * Answers; nothing may have been sent before.
 *
 * @param deadline milliseconds that the client has to take the answer; then the exchange is broken off
 */
export function writeRefusal(
  exchange: Exchange,
  error: StatusError,
  ownHeaders: RawHeaders,
  deadline = TAKEN_WITHIN,
): void {
  const { request, response } = exchange
  const body = statusBody(error)
  const headers = [
    ...ownHeaders,
    'Content-Type',
    'application/json',
    'Cache-Control',
    'no-cache, private',
    'X-Content-Type-Options',
    'nosniff',
    'Content-Length',
    String(Buffer.byteLength(body)),
  ]
  for (const [name, value] of Object.entries(error.headers)) headers.push(name, value)
  const isHttp1 = request.protocol === 'HTTP/1.1'
  if (isHttp1 && (error.closeConnection || request.isUpgrade)) headers.push('Connection', 'close')
  response.writeHead(error.code, headers)
  response.end(body)
  closeWithin(exchange, deadline)
  // kube-apiserver's UnauthenticatedHTTP2DOSMitigation: strangers get no long-lived session.
  if (!isHttp1 && (error.closeConnection || error.reason === 'Unauthorized')) {
    request.connection.retire()
  }
}

/** What an error says for the audit record: code and message, such as `ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:6443`. */
export function causeOf(cause: Error & { readonly code?: unknown }): string {
  const { code, message } = cause
  return typeof code === 'string' && !message.includes(code) ? `${code}: ${message}` : message
}

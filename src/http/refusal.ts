/**
 * Turns what a stage threw into a `metav1.Status` response, or a page for a browser. Requests with invalid framing never reach a
 * stage; `http1-server.ts` responds to them.
 */
import { StatusError, statusBody, type Representation } from '../status.ts'
import type { Exchange, RawHeaders } from './exchange.ts'
import { closeWithin } from './response-deadline.ts'

/** @returns the error itself if it is a `StatusError`, or else a 500 that does not reveal the cause */
export function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error
  return new StatusError(
    'InternalError',
    'Internal error occurred: contact your Gatehouse administrator',
    {
      cause: error,
    },
  )
}

/** How many bytes the body of the refusal will have. */
export function refusalLength(exchange: Exchange, error: StatusError): number {
  return Buffer.byteLength(representationOf(exchange, error).body)
}

/** Short, since a refusal is small. */
const REFUSAL_DEADLINE_MS = 5_000

/**
 * Sends the refusal; nothing may have been sent before.
 *
 * @param ownHeaders headers that Gatehouse adds to every response
 * @param deadline milliseconds that the client has to read the response before the exchange is aborted
 */
export function writeRefusal(
  exchange: Exchange,
  error: StatusError,
  ownHeaders: RawHeaders,
  deadline = REFUSAL_DEADLINE_MS,
): void {
  const { request, response } = exchange
  const { headers: described, body } = representationOf(exchange, error)
  const headers = [
    ...ownHeaders,
    ...described,
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
  // As kube-apiserver's UnauthenticatedHTTP2DOSMitigation: unauthenticated clients get no long-lived
  // session.
  if (!isHttp1 && (error.closeConnection || error.reason === 'Unauthorized')) {
    request.connection.retire()
  }
}

function representationOf(exchange: Exchange, error: StatusError): Representation {
  if (error.representation !== undefined) return error.representation
  return readsOnlyText(exchange, error)
    ? { headers: TEXT_HEADERS, body: `${error.message}\n` }
    : { headers: STATUS_HEADERS, body: statusBody(error) }
}

const NOT_STORED = ['Cache-Control', 'no-cache, private']
const TEXT_HEADERS = ['Content-Type', 'text/plain; charset=utf-8', ...NOT_STORED]
const STATUS_HEADERS = ['Content-Type', 'application/json', ...NOT_STORED]

const DISCOVERY_ROOT = /^\/apis?(?:\?|$)/

/**
 * Whether the client is client-go's discovery client, with which kubectl begins when its cache is empty.
 * That client does not decode a Status: kubectl would print `unknown` in place of the message. It prints
 * the text of a `text/*` response (client-go/discovery/discovery_client.go, rest/request.go
 * newUnstructuredResponseError). No other client asks for this document. A 401 has words of kubectl's own.
 */
function readsOnlyText({ request }: Exchange, error: StatusError): boolean {
  if (error.reason === 'Unauthorized' || !DISCOVERY_ROOT.test(request.rawTarget)) return false
  const { rawHeaders } = request
  return rawHeaders.some(
    (value, i) =>
      value.includes('as=APIGroupDiscoveryList') && rawHeaders[i - 1]?.toLowerCase() === 'accept',
  )
}

/** Describes a cause for the audit record: the message, after the code if the message lacks it. */
export function causeOf(cause: Error & { readonly code?: unknown }): string {
  const { code, message } = cause
  return typeof code === 'string' && !message.includes(code) ? `${code}: ${message}` : message
}

/**
 * Reads bearer tokens from a request (RFC 6750 section 2.1; apiserver request/bearertoken,
 * request/websocket).
 */
import { listItems } from '../http/list-header.ts'
import { StatusError, type StatusErrorOptions } from '../status.ts'

/**
 * Longest token that is accepted, in characters. It fits in both places over both protocols: in a WebSocket
 * subprotocol it takes a third more, and over HTTP/2 a field ends at 65,536 bytes.
 */
export const MAX_TOKEN_LENGTH = 40_960

/**
 * Prefix of the WebSocket subprotocol that carries a token (apiserver
 * request/websocket/protocol.go).
 */
const BEARER_SUBPROTOCOL = 'base64url.bearer.authorization.k8s.io.'

/**
 * Returns the token of `Authorization: Bearer TOKEN`, undefined without the header.
 *
 * @throws StatusError 401 for another scheme, an empty token, or more than one word
 */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  // RFC 9110 section 11.1: the scheme is case-insensitive and is followed by a space.
  const isBearer =
    authorization.charCodeAt(6) === 0x20 && authorization.slice(0, 6).toLowerCase() === 'bearer'
  const token = isBearer ? authorization.slice(7) : ''
  if (token === '' || token.includes(' ')) {
    throw unauthorized('the Authorization header is not of the form "Bearer TOKEN"')
  }
  return token
}

/**
 * Whether a subprotocol carries a token, or text that only differs from one that does by its case: neither
 * may reach the API server.
 */
export function isBearerSubprotocol(protocol: string): boolean {
  return protocol.slice(0, BEARER_SUBPROTOCOL.length).toLowerCase() === BEARER_SUBPROTOCOL
}

/**
 * Returns the token in `Sec-WebSocket-Protocol`, decoded, undefined when there is none. Browsers
 * send it there because they cannot set `Authorization` on a WebSocket. On any other request it does
 * not count, as in kube-apiserver.
 *
 * @param values the values of the header, one for each field line
 * @throws StatusError 401 when there are several tokens, no other subprotocol, or when the token is
 * not canonical base64url of UTF-8
 */
export function webSocketToken(values: readonly string[]): string | undefined {
  if (values.length === 0) return undefined
  const protocols = listItems(values)
  const carriers = protocols.filter((protocol) => protocol.startsWith(BEARER_SUBPROTOCOL))
  const [carrier] = carriers
  if (carrier === undefined) return undefined
  if (carriers.length > 1) throw unauthorized('more than one WebSocket subprotocol carries a token')
  if (protocols.length === 1) {
    throw unauthorized('the token must not be the only WebSocket subprotocol')
  }
  return decodeToken(carrier.slice(BEARER_SUBPROTOCOL.length))
}

function decodeToken(encoded: string): string {
  const bytes = Buffer.from(encoded, 'base64url')
  // Buffer skips invalid characters; only the canonical form is accepted, so that a token has one
  // spelling.
  if (encoded === '' || bytes.toString('base64url') !== encoded) {
    throw unauthorized('the token in the WebSocket subprotocol is not canonical base64url')
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw unauthorized('the token in the WebSocket subprotocol is not UTF-8')
  }
}

/**
 * Creates a 401 whose message is `Unauthorized`, as kube-apiserver's; only logs and the audit record
 * get `cause`.
 */
export function unauthorized(
  cause: string,
  options: Pick<StatusErrorOptions, 'closeConnection'> = {},
): StatusError {
  return new StatusError('Unauthorized', 'Unauthorized', { ...options, cause: new Error(cause) })
}

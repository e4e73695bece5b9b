/** Where a bearer token stands in a request (RFC 6750 section 2.1; apiserver request/bearertoken, request/websocket). */
import { StatusError } from '../status.ts'

/** Longest token looked at, in characters; a header may hold no more than this either way. */
export const MAX_TOKEN_LENGTH = 16_384

/** What stands before a token among WebSocket subprotocols (apiserver request/websocket/protocol.go). */
export const BEARER_SUBPROTOCOL = 'base64url.bearer.authorization.k8s.io.'

/**
 * The token of `Authorization: Bearer TOKEN`; undefined without the header.
 *
 * @throws StatusError 401 for another scheme, an empty token, or more than one word
 */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  // RFC 9110 section 11.1: the scheme is case-insensitive, one space follows.
  const isBearer =
    authorization.charCodeAt(6) === 0x20 && authorization.slice(0, 6).toLowerCase() === 'bearer'
  const token = isBearer ? authorization.slice(7) : ''
  if (token === '' || token.includes(' ')) throw unauthorized('not a bearer token')
  return token
}

/**
 * The token that a browser hides in `Sec-WebSocket-Protocol`; undefined when there is none.
 *
 * @param values of the header, unsplit
 * @throws StatusError 401 when it stands twice, stands alone, or is no base64url of UTF-8
 */
export function webSocketToken(values: readonly string[]): string | undefined {
  if (values.length === 0) return undefined
  const protocols = values.flatMap((value) => value.split(',')).map((protocol) => protocol.trim())
  const carriers = protocols.filter((protocol) => protocol.startsWith(BEARER_SUBPROTOCOL))
  const [carrier] = carriers
  if (carrier === undefined) return undefined
  if (carriers.length > 1) throw unauthorized('more than one token among the subprotocols')
  if (protocols.length === 1) throw unauthorized('the token must not be the only subprotocol')
  return decodeToken(carrier.slice(BEARER_SUBPROTOCOL.length))
}

function decodeToken(encoded: string): string {
  const bytes = Buffer.from(encoded, 'base64url')
  // Buffer skips what is no base64url; only the canonical form is one credential.
  if (encoded === '' || bytes.toString('base64url') !== encoded) {
    throw unauthorized('the token among the subprotocols is no base64url')
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw unauthorized('the token among the subprotocols is not UTF-8')
  }
}

/** 401 as kube-apiserver says it: no more than `Unauthorized`; why is for the log and the record. */
export function unauthorized(why: string): StatusError {
  return new StatusError('Unauthorized', 'Unauthorized', { cause: new Error(why) })
}

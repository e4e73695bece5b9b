/** Failures of the way to the API server, in words that kubectl shows. */
import { StatusError } from '../status.ts'

/** A bounded name for metrics and the log. */
export type UpstreamFailure =
  'connect' | 'tls' | 'timeout' | 'reset' | 'protocol' | 'request' | 'queue' | 'credential'

export interface MappedFailure {
  readonly kind: UpstreamFailure
  readonly error: StatusError
}

const CONNECT_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** The client library's refusal to write a header that the client sent (nothing was sent). */
const REQUEST_CODES: ReadonlySet<string> = new Set([
  'UND_ERR_INVALID_ARG',
  'UND_ERR_NOT_SUPPORTED',
  'ERR_HTTP2_HEADER_SINGLE_VALUE',
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
])

/** Code of an error of Gatehouse's own: an answer that is HTTP, but none that may be passed on. */
export const INVALID_RESPONSE = 'GATEHOUSE_INVALID_ANSWER'

/** Of a request that is not sent, since too many wait for the API server already. */
export const QUEUE_FULL = 'GATEHOUSE_QUEUE_FULL'

/** Of an answer that says that Gatehouse's own credential is not good. */
export const OWN_CREDENTIAL_REFUSED = 'GATEHOUSE_OWN_REFUSED'

const PROTOCOL_CODES: ReadonlySet<string> = new Set([
  INVALID_RESPONSE,
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'HPE_HEADER_OVERFLOW',
])

/** OpenSSL's and node's names of "this is not the server that the CA vouches for". */
const TLS_CODE = /CERT|SELF_SIGNED|^UNABLE_TO|^ERR_TLS|^ERR_SSL|^EPROTO$/

/** OpenSSL's names of "no CA that was given vouches for this chain". */
const FOREIGN_CODES: ReadonlySet<string> = new Set([
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

const FOREIGN =
  "its certificate is signed by none of the CAs of the upstream kubeconfig's certificate-authority " +
  "(in a pod: of the service account's ca.crt)"

/** Why the API server cannot be reached, for readiness: in words where a CA is wrong, or a code. */
export function upstreamReason(error: Error & { readonly code?: string }): string {
  const { code, message } = error
  return code === undefined ? message : (foreignWords(code) ?? code)
}

/** Node's own message proposes an option of Node, which would not help. */
function foreignWords(code: string): string | undefined {
  return FOREIGN_CODES.has(code) ? `${FOREIGN} (${code})` : undefined
}

/**
 * Turns a transport's error into a refusal. `Retry-After` only where nothing can have been sent:
 * client-go repeats any request then, mutating ones included (client-go/rest/with_retry.go).
 */
export function mapUpstreamError(cause: unknown): MappedFailure {
  const { code, syscall } = originOf(cause)
  if (REQUEST_CODES.has(code)) {
    return failure('request', 'BadRequest', 'a header of the request cannot be passed on', cause)
  }
  // On an established connection the same codes come from a read or a write: something was sent.
  if (CONNECT_CODES.has(code) && syscall !== 'read' && syscall !== 'write') {
    return failure(
      'connect',
      'ServiceUnavailable',
      `the API server cannot be reached (${code})`,
      cause,
      {
        'Retry-After': '1',
      },
    )
  }
  if (TLS_CODE.test(code)) {
    const words = foreignWords(code)
    return failure(
      'tls',
      'BadGateway',
      `the API server's certificate is not trusted (${code})`,
      words === undefined ? cause : Object.assign(new Error(words, { cause }), { code }),
    )
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return failure('timeout', 'Timeout', 'the API server did not answer in time', cause)
  }
  if (PROTOCOL_CODES.has(code) || code.startsWith('HPE_')) {
    return failure('protocol', 'BadGateway', "the API server's answer is not valid HTTP", cause)
  }
  return failure(
    'reset',
    'BadGateway',
    'the API server closed the connection before it answered; the request may or may not have been carried out',
    cause,
  )
}

function failure(
  kind: UpstreamFailure,
  reason: 'BadRequest' | 'ServiceUnavailable' | 'BadGateway' | 'Timeout',
  message: string,
  cause: unknown,
  headers: Readonly<Record<string, string>> = {},
): MappedFailure {
  return { kind, error: new StatusError(reason, message, { cause, headers }) }
}

interface Origin {
  readonly code: string
  /** `connect`, `getaddrinfo`, `read`, `write`…; `''` where the error is no system error. */
  readonly syscall: string
}

/** undici's error for bytes that are no HTTP; some of them have no code (a banner of SSH). */
const NO_HTTP = 'HPE_UNKNOWN'

/** The innermost error that says something: undici wraps those of sockets. */
function originOf(error: unknown): Origin {
  if (typeof error !== 'object' || error === null) return { code: '', syscall: '' }
  if (error instanceof AggregateError && error.errors.length > 0) return originOf(error.errors[0])
  const { code, cause, syscall } = error as { code?: unknown; cause?: unknown; syscall?: unknown }
  const own = {
    code: typeof code === 'string' ? code : codeless(error),
    syscall: typeof syscall === 'string' ? syscall : '',
  }
  if (own.code !== '' && own.code !== 'UND_ERR_SOCKET') return own
  return cause === undefined ? own : originOf(cause)
}

function codeless(error: object): string {
  return error instanceof Error && error.name === 'HTTPParserError' ? NO_HTTP : ''
}

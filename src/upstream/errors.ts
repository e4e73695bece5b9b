/** Errors of the API server and of the connection to it, as refusals that kubectl shows. */
import { errorOrigin, UNKNOWN_CA_CODES } from '../cluster/error-origin.ts'
import type { StacklessError } from '../log.ts'
import { StatusError, type StatusErrorOptions, type StatusReason } from '../status.ts'

/**
 * The `reason` label of `gatehouse_upstream_errors_total`, and of the log; `request` is a fault of the
 * client and appears in neither.
 */
export type UpstreamErrorKind =
  | 'connect'
  | 'tls'
  | 'timeout'
  | 'reset'
  | 'protocol'
  | 'request'
  | 'queue'
  | 'credential'
  | 'identity'

/**
 * A request that has no usable response from the API server. Other refusals that end a forwarded
 * request (rules, authentication, shutdown, a malformed body) are plain `StatusError`s and not counted.
 */
export class UpstreamError extends StatusError implements StacklessError {
  readonly kind: UpstreamErrorKind
  readonly needsNoStack = true

  constructor(
    kind: UpstreamErrorKind,
    reason: StatusReason,
    message: string,
    options?: StatusErrorOptions,
  ) {
    super(reason, message, options)
    this.name = 'UpstreamError'
    this.kind = kind
  }
}

/** The 502 for a response that must not reach the client. */
export function unusableResponse(message: string, cause?: unknown): UpstreamError {
  return new UpstreamError('protocol', 'BadGateway', message, cause === undefined ? {} : { cause })
}

const CONNECT_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
])

/** Node refused to write what the client sent. */
const REQUEST_CODES: ReadonlySet<string> = new Set([
  'ERR_HTTP2_HEADER_SINGLE_VALUE',
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
])

/** OpenSSL's and Node's codes for a certificate that does not verify, and for a failed handshake. */
const TLS_CODE = /CERT|SELF_SIGNED|^UNABLE_TO|^ERR_TLS|^ERR_SSL|^EPROTO$/

const UNKNOWN_CA =
  'its certificate is not signed by a CA in the certificate-authority of the upstream kubeconfig ' +
  "(in a pod: the service account's ca.crt)"

/** Why the API server cannot be reached, for readiness: a description of an unknown CA, else the code. */
export function upstreamReason(error: Error & { readonly code?: string | undefined }): string {
  const { code, message } = error
  return code === undefined ? message : (describeUntrusted(code) ?? code)
}

/** Replaces Node's message, which suggests an option of Node that does not help here. */
function describeUntrusted(code: string): string | undefined {
  return UNKNOWN_CA_CODES.has(code) ? `${UNKNOWN_CA} (${code})` : undefined
}

/**
 * Maps an error of a transport. `Retry-After` is set only where nothing can have been sent: client-go
 * then repeats any request, mutating ones included (client-go/rest/with_retry.go).
 */
export function toUpstreamError(cause: unknown): UpstreamError {
  if (cause instanceof UpstreamError) return cause
  const { code, syscall } = errorOrigin(cause)
  if (REQUEST_CODES.has(code)) {
    return new UpstreamError('request', 'BadRequest', 'the request cannot be forwarded', {
      cause,
    })
  }
  // On an established connection the same codes come from a read or a write: something was sent.
  if (CONNECT_CODES.has(code) && syscall !== 'read' && syscall !== 'write') {
    const message = `the API server cannot be reached (${code})`
    const headers = { 'Retry-After': '1' }
    return new UpstreamError('connect', 'ServiceUnavailable', message, { cause, headers })
  }
  if (TLS_CODE.test(code)) {
    const message = `the API server's certificate is not trusted (${code})`
    const described = describeUntrusted(code)
    return new UpstreamError('tls', 'BadGateway', message, {
      cause:
        described === undefined ? cause : Object.assign(new Error(described, { cause }), { code }),
    })
  }
  if (code.startsWith('HPE_')) {
    return unusableResponse("the API server's response is not valid HTTP", cause)
  }
  return new UpstreamError(
    'reset',
    'BadGateway',
    'the API server closed the connection before it responded; ' +
      'the request may or may not have been carried out',
    { cause },
  )
}

/** Any client can send what cannot be forwarded: it must not look like a failing API server. */
export function isOfClient(error: unknown): boolean {
  if (error instanceof StatusError && !(error instanceof UpstreamError)) return true
  return toUpstreamError(error).kind === 'request'
}

/** The error of a connection that was never established, whatever its code: nothing was sent. */
export function neverConnected(cause: Error): Error {
  if (cause instanceof StatusError || toUpstreamError(cause).kind !== 'reset') return cause
  const { code } = errorOrigin(cause)
  const message = `the API server cannot be reached (${code === '' ? 'closed' : code})`
  const headers = { 'Retry-After': '1' }
  return new UpstreamError('connect', 'ServiceUnavailable', message, { cause, headers })
}

/**
 * A refusal, as the API machinery knows it: thrown by any stage, written once (http/refusal.ts) as
 * a `metav1.Status` and audited. The message goes to the client; the cause goes to the log only.
 */

/** `metav1.StatusReason`s that Gatehouse answers with, and the HTTP code of each. */
const STATUS_CODES = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  MethodNotAllowed: 405,
  ExpectationFailed: 417,
  TooManyRequests: 429,
  RequestHeaderFieldsTooLarge: 431,
  InternalError: 500,
  BadGateway: 502,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

export type StatusReason = keyof typeof STATUS_CODES

/** `metav1.StatusDetails`, as far as refusals of a proxy need it. */
export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  /** The resource, as kube-apiserver fills it. */
  readonly kind?: string
  readonly retryAfterSeconds?: number
}

/** `metav1.Status` in the key order that kube-apiserver writes. */
export interface Status {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly metadata: Record<string, never>
  readonly status: 'Failure'
  readonly message: string
  readonly reason: StatusReason
  readonly details?: StatusDetails
  readonly code: number
}

export interface StatusErrorOptions {
  readonly details?: StatusDetails
  /** What happened underneath; logged, never sent. */
  readonly cause?: unknown
  /** Response headers beside the body, such as Retry-After. */
  readonly headers?: Readonly<Record<string, string>>
  /** Whether the connection must not carry another request (framing in doubt, flood, drain). */
  readonly closeConnection?: boolean
}

/** A request refused: reason and message as kubectl shows them. */
export class StatusError extends Error {
  readonly reason: StatusReason
  readonly code: number
  readonly details: StatusDetails | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly closeConnection: boolean

  constructor(reason: StatusReason, message: string, options: StatusErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'StatusError'
    this.reason = reason
    this.code = STATUS_CODES[reason]
    this.details = options.details
    this.headers = options.headers ?? {}
    this.closeConnection = options.closeConnection ?? false
  }
}

/** The `metav1.Status` body of a refusal, with the newline that kube-apiserver ends it with. */
export function statusBody(error: StatusError, code: number = error.code): string {
  const status: Status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: error.message,
    reason: error.reason,
    ...(error.details === undefined ? {} : { details: error.details }),
    code,
  }
  return `${JSON.stringify(status)}\n`
}

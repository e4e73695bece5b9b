/**
 * Refusals in the format of Kubernetes' API machinery: thrown by any stage, written once as a
 * `metav1.Status` (http/refusal.ts) and audited. The client gets the message but never the cause.
 */

/** Every `metav1.StatusReason` that Gatehouse sends, with its HTTP status code. */
const STATUS_CODES = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  ExpectationFailed: 417,
  MisdirectedRequest: 421,
  TooManyRequests: 429,
  RequestHeaderFieldsTooLarge: 431,
  InternalError: 500,
  BadGateway: 502,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

export type StatusReason = keyof typeof STATUS_CODES

/** The fields of `metav1.StatusDetails` that refusals of a proxy need. */
export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  /** The resource, not its kind, as in kube-apiserver. */
  readonly kind?: string
  readonly retryAfterSeconds?: number
}

/** `metav1.Status`, with its keys in kube-apiserver's order. */
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

/** What is sent in place of the Status to a client that reads something else. */
export interface Representation {
  /** Name, value, name, value; `Content-Type` and `Cache-Control` are among them. */
  readonly headers: readonly string[]
  readonly body: string
}

export interface StatusErrorOptions {
  readonly details?: StatusDetails
  /** The lock that refuses, for the audit record. */
  readonly lock?: string
  /** Why the sign-in has ended for which the credential was issued, for the audit record. */
  readonly revocation?: string
  /** The underlying error, for the logs; never sent. */
  readonly cause?: unknown
  /** Additional response headers, such as `Retry-After`. */
  readonly headers?: Readonly<Record<string, string>>
  /** Whether the connection must not carry another request (framing in doubt, flood, shutdown). */
  readonly closeConnection?: boolean
  readonly representation?: Representation | undefined
}

/** A refusal; kubectl shows its reason and message. */
export class StatusError extends Error {
  readonly reason: StatusReason
  readonly code: number
  readonly details: StatusDetails | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly closeConnection: boolean
  readonly lock: string | undefined
  readonly revocation: string | undefined
  readonly representation: Representation | undefined

  constructor(reason: StatusReason, message: string, options: StatusErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'StatusError'
    this.reason = reason
    this.code = STATUS_CODES[reason]
    this.details = options.details
    this.headers = options.headers ?? {}
    this.closeConnection = options.closeConnection ?? false
    this.lock = options.lock
    this.revocation = options.revocation
    this.representation = options.representation
  }

  /** The same refusal, with some of it replaced. */
  with({ message, ...options }: StatusErrorOptions & { readonly message?: string }): StatusError {
    const { cause, closeConnection, details, headers, lock, revocation, representation } = this
    return new StatusError(this.reason, message ?? this.message, {
      ...{ cause, closeConnection, headers, representation },
      ...(details === undefined ? {} : { details }),
      ...(lock === undefined ? {} : { lock }),
      ...(revocation === undefined ? {} : { revocation }),
      ...options,
    })
  }
}

/** The options of a refusal after which clients may repeat the request; client-go waits and does. */
export function retryAfter(seconds: number): Pick<StatusErrorOptions, 'details' | 'headers'> {
  return {
    details: { retryAfterSeconds: seconds },
    headers: { 'Retry-After': String(seconds) },
  }
}

/** The `metav1.Status` body of a refusal, with kube-apiserver's newline at the end. */
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

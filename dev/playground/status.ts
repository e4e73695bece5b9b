/** Refusals of the playground, in kube-apiserver's words (apimachinery/pkg/api/errors). */

const codes = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  InternalError: 500,
} as const

export type Reason = keyof typeof codes

/** The object of a refusal; `kind` is the resource, as in kube-apiserver. */
export interface Details {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
}

/** A refusal. It may be thrown anywhere; the handler turns it into the response. */
export class Refusal extends Error {
  readonly reason: Reason
  readonly details: Details | undefined

  constructor(reason: Reason, message: string, details?: Details) {
    super(message)
    this.reason = reason
    this.details = details
  }

  get code(): number {
    return codes[this.reason]
  }

  /** The `metav1.Status`. */
  body(): object {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    }
  }
}

/** The 404 for an unknown path. */
export function unknownPath(): Refusal {
  return new Refusal('NotFound', 'the server could not find the requested resource', {})
}

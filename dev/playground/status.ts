/** Refusals of the playground, as kube-apiserver words them (apimachinery/pkg/api/errors). */

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

/** What a refusal is about; `kind` is the resource, as kube-apiserver fills it. */
export interface Details {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
}

/** A refusal. Thrown anywhere, answered in one place. */
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

/** 404 for a path that nothing is registered at. */
export function unknownPath(): Refusal {
  return new Refusal('NotFound', 'the server could not find the requested resource', {})
}

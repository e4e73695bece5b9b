import { StatusError } from '../status.ts'

/**
 * Why a token was refused, in words that are safe in an audit record: names of the configuration
 * only, never text of the token. The client does not see it.
 */
export class TokenRefusal extends Error {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.name = 'TokenRefusal'
  }
}

/**
 * The 401 for a bad token, as kube-apiserver words it; its cause is a `TokenRefusal`. `cause` is the
 * error underneath, where there is one.
 */
export function unauthorized(why: string, cause?: unknown): StatusError {
  return new StatusError('Unauthorized', 'Unauthorized', {
    cause: new TokenRefusal(why, cause === undefined ? undefined : { cause }),
  })
}

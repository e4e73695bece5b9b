import { StatusError } from '../../status.ts'

/** An error code of OAuth (RFC 6749 section 4.1.2.1); anything else is not shown. */
const ERROR_CODE = /^[a-z][a-z_]{0,63}$/

/**
 * Turns what openid-client threw into a refusal. Users learn what they can do; what the issuer says
 * goes into the audit event.
 */
export function issuerRefusal(issuer: string, error: unknown): StatusError {
  if (error instanceof StatusError) return error
  const cause = rootOf(error)
  const { code, error: named } = error as { readonly code?: unknown; readonly error?: unknown }
  const shown = typeof named === 'string' && ERROR_CODE.test(named) ? named : undefined
  if (code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR') {
    const message =
      shown === 'access_denied'
        ? 'the sign-in was canceled, or the issuer does not allow this account to sign in here'
        : `the issuer refused the sign-in${shown === undefined ? '' : ` (${shown})`}: sign in again`
    return new StatusError('Forbidden', message, { cause })
  }
  if (code === 'OAUTH_RESPONSE_BODY_ERROR') {
    return shown === 'invalid_grant'
      ? new StatusError('BadRequest', 'the issuer no longer knows this sign-in: sign in again', {
          cause,
        })
      : new StatusError('BadGateway', unusable(issuer), { cause })
  }
  if (code === 'OAUTH_INVALID_RESPONSE' || code === 'OAUTH_JWT_CLAIM_COMPARISON_FAILED') {
    const message = 'the response of the issuer is not for this sign-in: sign in again'
    return new StatusError('BadRequest', message, { cause })
  }
  return new StatusError('BadGateway', unusable(issuer), { cause })
}

function unusable(issuer: string): string {
  return `${issuer} cannot be used to sign in at present: try again, or ask your Gatehouse administrator`
}

/** openid-client wraps the error of the network, and the texts of the issuer may be long. */
function rootOf(error: unknown): Error {
  let at = error
  while (at instanceof Error && at.cause instanceof Error) at = at.cause
  const { message, error_description: said } = at as Error & { error_description?: unknown }
  const details = typeof said === 'string' ? `${message}: ${said}` : message
  return new Error(details.slice(0, MAX_CAUSE_LENGTH), { cause: error })
}

const MAX_CAUSE_LENGTH = 300

import * as openid from 'openid-client'

import { ClientFailure, printable } from '../failure.ts'
import { describeNetworkError } from '../net/network-error.ts'

/** What a user can do about an error code of OAuth (RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628). */
const ADVICE: Readonly<Record<string, string>> = {
  access_denied: 'the account is not allowed to use this application, or the sign-in was canceled',
  expired_token: 'the code was not entered in time: try again',
  invalid_client:
    'the client ID is not a public client of the issuer: ask your Gatehouse administrator',
  invalid_scope: 'the issuer does not have a scope: ask your Gatehouse administrator',
  login_required: 'the issuer asks for a new sign-in: try again',
  temporarily_unavailable: 'the issuer is overloaded: try again later',
  unauthorized_client: 'the client may not sign in this way: ask your Gatehouse administrator',
}

/** Turns whatever a request to an issuer failed with into one line for the user. */
export function issuerFailure(issuer: string, error: unknown): ClientFailure {
  if (error instanceof ClientFailure) return error
  if (
    error instanceof openid.AuthorizationResponseError ||
    error instanceof openid.ResponseBodyError
  ) {
    return refusal(issuer, error)
  }
  const { code } = error as { readonly code?: unknown }
  const options = { cause: error }
  if (code === 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED') return wrongClock(issuer, options)
  if (code === 'OAUTH_RESPONSE_IS_NOT_JSON' || code === 'OAUTH_PARSE_ERROR') {
    const message = `${issuer} did not send JSON: check that it is an OpenID Connect issuer`
    return new ClientFailure('unavailable', message, options)
  }
  if (code === 'OAUTH_RESPONSE_IS_NOT_CONFORM') {
    const status = statusOf(error)
    const message = `${issuer} is not available${status}: try again, or ask its administrator`
    return new ClientFailure('unavailable', message, options)
  }
  if (code === 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' || code === 'OAUTH_INVALID_RESPONSE') {
    const message = `the response of ${issuer} is not for this sign-in: ${causeText(error)}`
    return new ClientFailure('untrusted', message, options)
  }
  const message = `cannot use ${issuer}: ${describeNetworkError(innermost(error))}`
  return new ClientFailure('unavailable', message, options)
}

function refusal(
  issuer: string,
  error: openid.AuthorizationResponseError | openid.ResponseBodyError,
): ClientFailure {
  const advice = ADVICE[error.error]
  const said = printable(error.error_description ?? error.error)
  const message = `${issuer} refused the sign-in: ${advice ?? said}`
  const details = advice === undefined || said === error.error ? '' : ` (${said})`
  return new ClientFailure('signInFailed', message + details, { cause: error })
}

/** The failure of a token whose times do not fit the clock. */
export function wrongClock(issuer: string, options: ErrorOptions = {}): ClientFailure {
  const message =
    `the times in the token of ${issuer} do not fit the clock of this machine ` +
    `(${new Date().toISOString()}): set the clock, and try again`
  return new ClientFailure('signInFailed', message, options)
}

function statusOf(error: unknown): string {
  const { cause } = error as Error
  return cause instanceof Response ? ` (HTTP ${cause.status})` : ''
}

function causeText(error: unknown): string {
  return printable(((error as Error).cause as Error | undefined)?.message ?? String(error))
}

/** openid-client wraps the error of the network as "something went wrong". */
function innermost(error: unknown): unknown {
  let at = error
  while (at instanceof Error && at.cause instanceof Error) at = at.cause
  return at
}

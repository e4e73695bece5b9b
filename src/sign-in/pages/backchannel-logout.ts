import { StatusError } from '../../status.ts'
import { readForm } from './form-body.ts'
import type { PageHandler } from './page.ts'
import type { PagesState } from './state.ts'

/**
 * The issuer says that it has ended a session (OpenID Connect Back-Channel Logout 1.0). The sender is
 * not authenticated, the token in the form is signed.
 */
export function createBackchannelLogout({ state }: { readonly state: PagesState }): PageHandler {
  return async ({ exchange }) => {
    const tokens = (await readForm(exchange)).getAll('logout_token')
    const [token] = tokens
    if (token === undefined || tokens.length > 1) {
      throw new StatusError('BadRequest', 'the form must have one logout_token')
    }
    state.ended.endAtIssuer(await verified(token, state))
    return { code: 200, headers: ['Cache-Control', 'no-store'], body: '' }
  }
}

/** Section 2.8: a token that is not valid is a bad request. */
async function verified(token: string, state: PagesState) {
  try {
    return await state.verifyLogoutToken(token)
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'Unauthorized') throw error
    throw new StatusError('BadRequest', 'the logout token is not valid', { cause: error.cause })
  }
}

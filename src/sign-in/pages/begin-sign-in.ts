import { setCookie, SIGN_IN_COOKIE } from './cookies.ts'
import { isFromOtherSite } from './own-site.ts'
import { redirect, type PageHandler } from './page.ts'
import { PAGES_PATH } from './paths.ts'
import { SIGN_IN_LIFETIME_MS, type PagesState } from './state.ts'

export interface BeginSignInOptions {
  readonly state: PagesState
  /** Turns what the issuer failed with into a refusal. */
  readonly refusalOf: (error: unknown) => Error
}

/** Sends the browser to the issuer. Another site cannot start that. */
export function createBeginSignIn({ state, refusalOf }: BeginSignInOptions): PageHandler {
  return async ({ headers }) => {
    if (isFromOtherSite(headers)) return redirect(PAGES_PATH)
    const party = await state.relyingParty()
    const { url, pending } = await party.begin().catch((error: unknown) => {
      throw refusalOf(error)
    })
    const cookie = await state.sealPending(pending)
    return redirect(url.href, setCookie(SIGN_IN_COOKIE, cookie, SIGN_IN_LIFETIME_MS / 1_000))
  }
}

import { throttledLog } from '../../log-throttle.ts'
import type { Log } from '../../log.ts'
import { clearCookie, SESSION_COOKIE, SIGN_IN_COOKIE } from './cookies.ts'
import { requireOwnSite } from './own-site.ts'
import { htmlPage, type PageHandler } from './page.ts'
import type { PagesOptions } from './secrets.ts'
import type { Session } from './session.ts'
import type { PagesState } from './state.ts'
import { signedOutView } from './views.ts'

export interface SignOutOptions {
  readonly pages: PagesOptions
  readonly displayName: string
  readonly state: PagesState
}

/**
 * Ends the session of the page, and then, in the browser, that of the issuer (OpenID Connect RP-Initiated
 * Logout 1.0). The browser goes there by a page in between: a redirect would have to be allowed by
 * `form-action`, with every server to which the issuer redirects.
 */
export function createSignOut(
  { pages, displayName, state }: SignOutOptions,
  { log }: { readonly log: Log },
): PageHandler {
  const throttled = throttledLog(log)
  return async ({ exchange, headers }) => {
    requireOwnSite(headers, pages.url)
    const session = await state.session(exchange)
    if (session !== undefined) await end(session)
    const view = signedOutView(
      { displayName, issuer: pages.issuer },
      session === undefined ? undefined : await signOutURL(session.idToken),
    )
    return htmlPage(200, view, [...clearCookie(SESSION_COOKIE), ...clearCookie(SIGN_IN_COOKIE)])
  }

  /** The browser forgets the session in any case; a copy of its cookie may be of use elsewhere until it expires. */
  async function end(session: Session): Promise<void> {
    try {
      await state.ended.end(session)
    } catch (error) {
      throttled.warn({ err: error }, 'a user has signed out on this replica only')
    }
  }

  /** Whatever is wrong at the issuer must not keep the page's session. */
  async function signOutURL(idToken: string | undefined): Promise<string | undefined> {
    try {
      const party = await state.relyingParty()
      return (await party.signOutURL(idToken))?.href
    } catch {
      return undefined
    }
  }
}

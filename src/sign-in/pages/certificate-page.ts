/** Where a user asks for a client certificate: a page with a form, and the form. */
import type { CertificateIssuer } from '../../issuance/certificate-issuer.ts'
import { publicKeyOfRequest } from '../../issuance/certificate-request.ts'
import { StatusError } from '../../status.ts'
import { loginCommand, sessionOf, type AccountOptions } from './account.ts'
import { certificateView, continueView } from './certificate-views.ts'
import { setCookie, SIGN_IN_COOKIE } from './cookies.ts'
import { requireOwnSite } from './own-site.ts'
import { htmlPage, redirect, type PageHandler } from './page.ts'
import { PAGES_PATH } from './paths.ts'
import { SIGN_IN_LIFETIME_MS } from './state.ts'
import { readUpload } from './upload.ts'

export interface CertificatePageOptions extends AccountOptions {
  /** Turns what the issuer failed with into a refusal. */
  readonly refusalOf: (error: unknown) => Error
}

/** How to make a key and a request, and the form that takes the request. */
export function createCertificatePage(options: CertificatePageOptions): PageHandler {
  return async (request) => {
    const { maxLifetime } = requireIssuer(options).options
    const session = await sessionOf(request, options)
    if (session === undefined) return redirect(PAGES_PATH)
    const { displayName } = options
    const command = `${loginCommand(options)} --certificate`
    return htmlPage(200, certificateView({ displayName, session, maxLifetime, command }))
  }
}

/**
 * Takes the request. Only its public key is kept, in the cookie of the sign-in that follows: a certificate needs
 * a recent sign-in and all groups of its user, and a session has neither. The browser goes to the issuer by a page
 * in between, as when it signs out.
 */
export function createCertificateOrder(options: CertificatePageOptions): PageHandler {
  const { pages, state, displayName, refusalOf } = options
  return async (request) => {
    const { exchange, headers } = request
    requireOwnSite(headers, pages.url)
    const { maxSignInAge } = requireIssuer(options).options
    const session = await sessionOf(request, options)
    if (session === undefined) {
      throw new StatusError('Forbidden', 'your session has ended: sign in again', {
        closeConnection: true,
      })
    }
    const publicKey = publicKeyOfRequest(await readUpload(exchange))
    const party = await state.relyingParty()
    // Half of what is allowed, so that the certificate is good for a while.
    const maxAge = Math.floor(maxSignInAge / 2_000)
    const { url, pending } = await party.begin({ maxAge }).catch((error: unknown) => {
      throw refusalOf(error)
    })
    const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64url')
    const cookie = await state.sealPending({
      ...pending,
      certificate: { spki, subject: session.subject },
    })
    return htmlPage(
      200,
      continueView({ displayName, issuer: pages.issuer }, url.href),
      setCookie(SIGN_IN_COOKIE, cookie, SIGN_IN_LIFETIME_MS / 1_000),
    )
  }
}

/** @throws StatusError 404 where no certificates are issued */
export function requireIssuer({
  certificates,
}: Pick<CertificatePageOptions, 'certificates'>): CertificateIssuer {
  if (certificates !== undefined) return certificates
  throw new StatusError(
    'NotFound',
    'this Gatehouse does not issue certificates on its pages: ask your Gatehouse administrator',
    { closeConnection: true },
  )
}

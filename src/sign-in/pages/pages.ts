import type { ProxyFor } from '../../config/egress-proxy.ts'
import type { ClientRequest } from '../../http/exchange.ts'
import { throttledLog } from '../../log-throttle.ts'
import type { CertificateIssuer } from '../../issuance/certificate-issuer.ts'
import type { Log } from '../../log.ts'
import type { Frame, Handler } from '../../pipeline/frame.ts'
import { StatusError } from '../../status.ts'
import type { OidcMethod } from '../discovery-document.ts'
import { apiURLOf, createKubeconfigDownload, createStartPage, clusterOf } from './account.ts'
import { icon, styleSheet } from './assets.ts'
import { createCertificateOrder, createCertificatePage } from './certificate-page.ts'
import { createBeginSignIn } from './begin-sign-in.ts'
import type { EndedSessionsOptions } from './ended-sessions.ts'
import { createFinishSignIn } from './finish-sign-in.ts'
import type { IssueOptions } from './issue-certificate.ts'
import { issuerRefusal } from './issuer-refusal.ts'
import { htmlPage, pageHandler, redirect, type PageHandler } from './page.ts'
import {
  CALLBACK_PATH,
  CERTIFICATE_PATH,
  ICON_PATH,
  KUBECONFIG_PATH,
  PAGES_PATH,
  SIGN_IN_PATH,
  SIGN_OUT_PATH,
  SIGNED_OUT_PATH,
  STYLE_PATH,
} from './paths.ts'
import type { PagesOptions } from './secrets.ts'
import { createSignOut } from './sign-out.ts'
import { createPagesState, type PagesState } from './state.ts'
import { signedOutView } from './views.ts'

export interface PagesConfiguration {
  readonly pages: PagesOptions
  readonly displayName: string
  readonly clusterName: string | undefined
}

export interface PagesEffects {
  readonly log: Log
  readonly proxyFor: ProxyFor
  /** How users of the command line sign in: what the discovery document names. */
  readonly methods: () => readonly OidcMethod[]
  /** Sessions that have ended, and where that is kept. */
  readonly ended: EndedSessionsOptions
}

export interface PagesHandlerOptions {
  readonly ownHeaders: Frame['ownHeaders']
  readonly stages: IssueOptions['stages']
  /** Undefined: no certificates are issued for sign-ins at the issuer of the pages. */
  readonly certificates: CertificateIssuer | undefined
}

export interface Pages extends Pick<
  PagesState,
  'updateSecrets' | 'updateAuthentication' | 'updateServingCA' | 'close'
> {
  /** Selects what serves a request to the host of the pages; undefined for what is not theirs. */
  handlers(options: PagesHandlerOptions): PageRoutes
}

export interface PageRoutes {
  /** Whether the request names the host of the pages. */
  isForPages(request: ClientRequest): boolean
  /** Whether that host serves nothing else: the Kubernetes API has another one. */
  readonly isSeparate: boolean
  /**
   * Whether the request is for something else, on a connection that was set up for a host of the pages alone.
   * Browsers do that over HTTP/2 where a certificate is valid for both names (RFC 9113 section 9.1.1).
   */
  isMisdirected(request: ClientRequest): boolean
  /** By the exact path, at the host of the pages. */
  readonly byPath: ReadonlyMap<string, Handler>
  /** Whether a person has come without a credential; kubectl and client libraries do not ask for HTML. */
  isBrowser(request: ClientRequest): boolean
  /** Sends it to the start page. */
  readonly start: Handler
  /** For all other paths at a host of the pages alone. */
  readonly notHere: Handler
  /** Refuses what is misdirected. */
  readonly misdirected: Handler
}

/** Creates the pages for browsers. */
export function createPages(
  { pages, displayName, clusterName }: PagesConfiguration,
  { log, proxyFor, methods, ended }: PagesEffects,
): Pages {
  const state = createPagesState(pages, { proxyFor, ended })
  const throttled = throttledLog(log)

  function refusalOf(error: unknown): StatusError {
    const refusal = issuerRefusal(pages.issuer, error)
    if (refusal.code >= 500) {
      const reason = refusal.cause instanceof Error ? refusal.cause.message : refusal.message
      throttled.warn({ issuer: pages.issuer, reason }, 'a user could not sign in on the pages')
    }
    return refusal
  }

  return {
    updateSecrets: (next) => state.updateSecrets(next),
    updateAuthentication: (next) => state.updateAuthentication(next),
    updateServingCA: (pem) => state.updateServingCA(pem),
    close: () => state.close(),
    handlers({ ownHeaders, stages, certificates }) {
      const account = { pages, displayName, clusterName, state, stages, methods, certificates }
      const certificate = { ...account, refusalOf }
      const get = (handle: PageHandler): Handler =>
        pageHandler({ displayName, ownHeaders, method: 'GET' }, handle)
      const post = (handle: PageHandler): Handler =>
        pageHandler({ displayName, ownHeaders, method: 'POST' }, handle)
      const getOrPost = (read: PageHandler, write: PageHandler): Handler => {
        const [reads, writes] = [get(read), post(write)]
        return (exchange, ...rest) =>
          (exchange.request.method === 'POST' ? writes : reads)(exchange, ...rest)
      }
      const signedOut = htmlPage(200, signedOutView({ displayName, issuer: pages.issuer }))
      const host = new URL(pages.url).hostname
      const isSeparate = new URL(apiURLOf(pages)).hostname !== host
      const toPages = get(() => redirect(pages.url + PAGES_PATH))
      return {
        isForPages: ({ authority }) => authority !== undefined && isHost(authority, host),
        isSeparate,
        isMisdirected: ({ authority, connection }) =>
          isSeparate &&
          connection.serverName === host &&
          !(authority !== undefined && isHost(authority, host)),
        start: toPages,
        byPath: new Map([
          [PAGES_PATH, get(createStartPage(account))],
          [PAGES_PATH.slice(0, -1), toPages],
          [SIGN_IN_PATH, get(createBeginSignIn({ state, refusalOf }))],
          [
            CALLBACK_PATH,
            get(createFinishSignIn({ ...certificate, cluster: () => clusterOf(account) })),
          ],
          [
            CERTIFICATE_PATH,
            getOrPost(createCertificatePage(certificate), createCertificateOrder(certificate)),
          ],
          [SIGN_OUT_PATH, post(createSignOut({ pages, displayName, state }, { log }))],
          [SIGNED_OUT_PATH, get(() => signedOut)],
          [KUBECONFIG_PATH, get(createKubeconfigDownload(account))],
          [STYLE_PATH, get(styleSheet)],
          [ICON_PATH, get(icon)],
        ]),
        isBrowser: isBrowserWithoutCredential,
        misdirected: ({ request }) => {
          // RFC 9110 section 15.5.20: the client may repeat it on a connection of its own.
          throw new StatusError(
            'MisdirectedRequest',
            `this connection is for ${host}, where no client certificate is requested: open another one for ${apiURLOf(pages)}`,
            { closeConnection: request.hasBody },
          )
        },
        notHere: pageHandler({ displayName, ownHeaders, method: undefined }, ({ exchange }) => {
          throw new StatusError(
            'NotFound',
            `this name serves only the pages to sign in: the Kubernetes API is at ${apiURLOf(pages)}`,
            { closeConnection: exchange.request.hasBody },
          )
        }),
      }
    },
  }
}

/** Whether `Host` or `:authority` names a host, given in lower case; called with every request. */
function isHost(authority: string, host: string): boolean {
  if (authority.slice(0, host.length).toLowerCase() !== host) return false
  return authority.length === host.length || authority[host.length] === ':'
}

function isBrowserWithoutCredential({ method, rawHeaders, connection }: ClientRequest): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  if (connection.peerCertificate !== undefined) return false
  let asksForHtml = false
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase()
    if (name === 'authorization') return false
    if (name === 'accept' && rawHeaders[i + 1]?.includes('text/html') === true) asksForHtml = true
  }
  return asksForHtml
}

/** What a browser with a session gets: the start page, and the kubeconfig. */
import { X509Certificate } from 'node:crypto'

import type { CertificateIssuer } from '../../issuance/certificate-issuer.ts'
import { refuseLocked } from '../../locks/locks.ts'
import type { OidcMethod } from '../discovery-document.ts'
import type { Session } from './session.ts'
import { htmlPage, redirect, type PageHandler, type PageRequest } from './page.ts'
import { kubeconfigFile, type KubeconfigCluster } from './kubeconfig-file.ts'
import { PAGES_PATH } from './paths.ts'
import type { PagesOptions } from './secrets.ts'
import type { PagesStages, PagesState } from './state.ts'
import { accountView, signInView } from './views.ts'

export interface AccountOptions {
  readonly pages: PagesOptions
  readonly displayName: string
  readonly clusterName: string | undefined
  readonly state: PagesState
  readonly stages: PagesStages
  /** Undefined: none are issued for sign-ins at the issuer of the pages. */
  readonly certificates: CertificateIssuer | undefined
  /** Of the command line. */
  readonly methods: () => readonly OidcMethod[]
}

/** The start page: who the user is, or where to sign in. */
export function createStartPage(options: AccountOptions): PageHandler {
  const { pages, displayName } = options
  const { issuer } = pages
  return async (request) => {
    const session = await sessionOf(request, options)
    if (session === undefined) return htmlPage(200, signInView({ displayName, issuer }))
    const server = apiURLOf(pages)
    const view = accountView({
      ...{ displayName, issuer, session },
      clusters: [{ name: nameOf(options), url: server }],
      command: loginCommand(options),
      hasCertificates: options.certificates !== undefined,
    })
    return htmlPage(200, view)
  }
}

/** The kubeconfig to download. */
export function createKubeconfigDownload(options: AccountOptions): PageHandler {
  return async (request) => {
    if ((await sessionOf(request, options)) === undefined) return redirect(PAGES_PATH)
    const cluster = clusterOf(options)
    const body = kubeconfigFile(cluster, methodOf(options))
    return {
      code: 200,
      headers: [
        ...['Content-Type', 'application/yaml'],
        ...['Content-Disposition', `attachment; filename="${cluster.name}.kubeconfig"`],
        ...['Cache-Control', 'no-store'],
      ],
      body,
    }
  }
}

/** Names the user in the audit event. The cookie is not a credential of any API. */
export async function sessionOf(
  { exchange, record, observed }: PageRequest,
  { pages, state, stages }: AccountOptions,
): Promise<Session | undefined> {
  const session = await state.session(exchange)
  if (session === undefined) return undefined
  const { username, uid, groups, id } = session
  const authentication = {
    user: { username, uid, groups, extra: {} },
    method: 'session',
    annotations: {
      'authentication.gatehouse/issuer': pages.issuer,
      'authentication.gatehouse/session': id,
    },
  }
  record.authenticated(authentication)
  exchange.recognized()
  refuseLocked(stages.locks, authentication, exchange.request.connection)
  observed.requestClass = 'read'
  return session
}

/** The URL of the API for kubectl. */
export function apiURLOf({ apiURL, url }: PagesOptions): string {
  return apiURL ?? url
}

/** The cluster as kubeconfigs have it. */
export function clusterOf(options: AccountOptions): KubeconfigCluster {
  return {
    name: nameOf(options),
    server: apiURLOf(options.pages),
    certificateAuthority: options.state.servingCA(),
  }
}

/** As `gatehouse login` would name it. */
function nameOf({ clusterName, pages }: AccountOptions): string {
  return clusterName ?? new URL(apiURLOf(pages)).hostname
}

/** The method by which the command line signs in at the issuer of the pages, unless it is the first one. */
function methodOf({ pages, methods }: AccountOptions): string | undefined {
  const all = methods()
  const index = all.findIndex(({ issuer }) => issuer === pages.issuer)
  return index > 0 ? all[index]?.name : undefined
}

/** With a private CA, whose fingerprint the browser has got over a connection that it trusts. */
export function loginCommand(options: AccountOptions): string {
  const [ca, method] = [options.state.servingCA(), methodOf(options)]
  return [
    `gatehouse login ${apiURLOf(options.pages)}`,
    ...(method === undefined ? [] : [`--method ${method}`]),
    ...(ca === undefined ? [] : [`--ca-fingerprint ${fingerprintOf(ca)}`]),
  ].join(' ')
}

/** Of the first certificate, which is enough for `gatehouse login`. */
function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256
}

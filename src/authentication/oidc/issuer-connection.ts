import type { Dispatcher } from 'undici'

import { Agent, createProxyAgent } from '../../undici.ts'
import type { ProxyFor } from '../../config/egress-proxy.ts'
import type { IssuerProxy } from './issuer-access.ts'

/** Largest response that is read, in bytes. */
const MAX_RESPONSE_BYTES = 1_048_576

export interface IssuerConnectionOptions {
  /** PEM. Undefined: the certificate authorities that Node trusts. */
  readonly certificateAuthority: string | undefined
  /** The proxy in the environment. */
  readonly proxyFor: ProxyFor
  /** The issuer's own proxy, in place of that one. */
  readonly proxy?: IssuerProxy | undefined
}

/** The way to one URL. */
export interface Route {
  readonly dispatcher: Dispatcher
  /** The proxy and where it is configured; undefined for a direct connection. */
  readonly proxy: string | undefined
}

/** How an issuer is reached: by its own CA, directly or through a proxy. */
export interface IssuerConnection {
  routeTo(url: URL): Route
  /** Closes open connections; later requests reject. */
  close(): void
}

/** Requests are rare, so connections are not reused. The server's certificate is always verified. */
export function createIssuerConnection({
  certificateAuthority,
  proxyFor,
  proxy: ownProxy,
}: IssuerConnectionOptions): IssuerConnection {
  const options = { allowH2: false, pipelining: 0, maxResponseSize: MAX_RESPONSE_BYTES }
  const tls = tlsOptions(certificateAuthority)
  const direct: Route = { dispatcher: new Agent({ ...options, connect: tls }), proxy: undefined }
  const own = ownProxy && {
    dispatcher: createProxyAgent({
      ...{ ...options, uri: ownProxy.url, requestTls: tls },
      ...{ proxyTls: tlsOptions(ownProxy.certificateAuthority) },
      ...(ownProxy.credentials === undefined
        ? {}
        : { token: `Basic ${Buffer.from(ownProxy.credentials).toString('base64')}` }),
    }),
    proxy: describeProxy(new URL(ownProxy.url), 'authentication.issuers'),
  }
  /** By the URL of the proxy. */
  const tunnels = new Map<string, Route>()

  function routeTo(url: URL): Route {
    if (own !== undefined) return own
    const proxy = proxyFor(url)
    return proxy === undefined ? direct : routeThrough(proxy)
  }

  /** Through a proxy, TLS is still with the issuer, by its own CA. */
  function routeThrough(proxy: URL): Route {
    let route = tunnels.get(proxy.href)
    if (route === undefined) {
      const dispatcher = createProxyAgent({ ...options, uri: proxy.href, requestTls: tls })
      route = { dispatcher, proxy: describeProxy(proxy, 'HTTPS_PROXY') }
      tunnels.set(proxy.href, route)
    }
    return route
  }

  return {
    routeTo,
    close() {
      for (const { dispatcher } of [
        direct,
        ...(own === undefined ? [] : [own]),
        ...tunnels.values(),
      ]) {
        dispatcher.destroy().catch(() => undefined)
      }
    },
  }
}

function tlsOptions(certificateAuthority: string | undefined) {
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    ...(certificateAuthority === undefined
      ? {}
      : { ca: certificateAuthority, allowPartialTrustChain: true }),
  } as const
}

/** Without user name and password, which the URL may contain. */
function describeProxy({ protocol, host }: URL, source: string): string {
  return `the proxy ${protocol}//${host} (${source})`
}

/** An error of a request through a proxy, which it names. */
export function failedThrough(proxy: string, error: unknown): Error {
  const { message, code } = error as Error & { readonly code?: string }
  const [, status] = /^Proxy response \((\d+)\)/.exec(message) ?? []
  const what =
    status === undefined
      ? message || (code ?? 'the connection failed')
      : `the proxy responded with ${status}`
  return new Error(`through ${proxy}: ${what}`, { cause: error })
}

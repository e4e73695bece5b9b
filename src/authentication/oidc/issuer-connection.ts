/** Requests to an issuer, directly by `node:https`, or through an egress proxy. */
import type { ProxyAgent } from 'undici'

import type { ProxyFor } from '../../config/egress-proxy.ts'
import { readBody, sendHttps } from '../../https-request.ts'
import { verifiedTls, type VerifiedTls } from '../../verified-tls.ts'
import type { IssuerProxy } from './issuer-access.ts'
import type { SendToIssuer } from './issuer-request.ts'
import type { ProxiedRequests } from './proxied-requests.ts'

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
  /** Rejects with an error that names the proxy when that, or the issuer behind it, fails. */
  readonly send: SendToIssuer
  /** The proxy and where it is configured; undefined for a direct connection. */
  readonly proxy: string | undefined
}

/** How an issuer is reached: by its own CA, directly or through a proxy. */
export interface IssuerConnection {
  routeTo(url: URL): Route
  /** Closes open connections; later requests reject. */
  close(): void
}

interface OpenRoute extends Route {
  close(): void
}

/** Requests are rare, so connections are not reused. The server's certificate is always verified. */
export function createIssuerConnection({
  certificateAuthority,
  proxyFor,
  proxy: ownProxy,
}: IssuerConnectionOptions): IssuerConnection {
  const tls = verifiedTls(certificateAuthority)
  const direct = directRoute(tls)
  const own =
    ownProxy &&
    proxiedRoute(describeProxy(new URL(ownProxy.url), 'authentication.issuers'), {
      ...{ uri: ownProxy.url, requestTls: tls },
      ...{ proxyTls: verifiedTls(ownProxy.certificateAuthority) },
      ...(ownProxy.credentials === undefined
        ? {}
        : { token: `Basic ${Buffer.from(ownProxy.credentials).toString('base64')}` }),
    })
  /** By the URL of the proxy. */
  const tunnels = new Map<string, OpenRoute>()
  let isClosed = false

  function routeThrough(proxy: URL): Route {
    let route = tunnels.get(proxy.href)
    if (route === undefined) {
      const options = { uri: proxy.href, requestTls: tls, proxyTls: verifiedTls(undefined) }
      route = proxiedRoute(describeProxy(proxy, 'HTTPS_PROXY'), options)
      tunnels.set(proxy.href, route)
    }
    return route
  }

  return {
    routeTo(url) {
      if (isClosed) throw new Error('the connection to the issuer is closed')
      if (own !== undefined) return own
      const proxy = proxyFor(url)
      return proxy === undefined ? direct : routeThrough(proxy)
    },
    close() {
      isClosed = true
      direct.close()
      own?.close()
      for (const route of tunnels.values()) route.close()
    },
  }
}

function directRoute(tls: VerifiedTls): OpenRoute {
  const closing = new AbortController()
  return {
    async send(url, { method, headers, body }, signal) {
      const { hostname, port, pathname, search } = url
      const request = {
        ...tls,
        method,
        host: hostname.replace(/^\[|\]$/g, ''),
        port,
        path: `${pathname}${search}`,
        headers: {
          host: url.host,
          ...headers,
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
        },
        agent: false,
        signal: AbortSignal.any([signal, closing.signal]),
      } as const
      const response = await orReason(signal, sendHttps(request, body))
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        read: () => orReason(signal, readBody(response, MAX_RESPONSE_BYTES)),
        discard: () => void response.on('error', () => undefined).destroy(),
      }
    },
    proxy: undefined,
    close: () => closing.abort(new Error('the connection to the issuer is closed')),
  }
}

/** Through a proxy, TLS is still with the issuer, by its own CA. */
function proxiedRoute(proxy: string, options: ProxyAgent.Options): OpenRoute {
  let requests: Promise<ProxiedRequests> | undefined
  /** Most installations have no proxy, and the library would delay every start. */
  async function load(): Promise<ProxiedRequests> {
    const { createProxiedRequests } = await import('./proxied-requests.ts')
    return createProxiedRequests({ ...options, maxResponseSize: MAX_RESPONSE_BYTES })
  }
  return {
    async send(url, request, signal) {
      const { send } = await (requests ??= load())
      return orReason(signal, send(url, request, signal)).catch((error: unknown) => {
        throw signal.aborted ? error : failedThrough(proxy, error)
      })
    },
    proxy,
    close: () => void requests?.then(({ close }) => close()).catch(() => undefined),
  }
}

/** Which error comes of an abort depends on how far the request was. */
function orReason<T>(signal: AbortSignal, result: Promise<T>): Promise<T> {
  return result.catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error
  })
}

/** Without user name and password, which the URL may contain. */
function describeProxy({ protocol, host }: URL, source: string): string {
  return `the proxy ${protocol}//${host} (${source})`
}

/** An error of a request through a proxy, which it names. */
function failedThrough(proxy: string, error: unknown): Error {
  const { message, code } = error as Error & { readonly code?: string }
  const [, status] = /^Proxy response \((\d+)\)/.exec(message) ?? []
  const what =
    status === undefined
      ? message || (code ?? 'the connection failed')
      : `the proxy responded with ${status}`
  return new Error(`through ${proxy}: ${what}`, { cause: error })
}

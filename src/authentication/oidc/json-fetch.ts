import type { Dispatcher } from 'undici'

import { Agent, createProxyAgent, get } from '../../undici.ts'
import type { ProxyFor } from '../../config/egress-proxy.ts'
import { quote } from '../quote.ts'
import type { IssuerProxy } from './issuer-access.ts'

/** Largest discovery document or key set that is read, in bytes. */
const MAX_DOCUMENT_BYTES = 1_048_576
/** Redirects that are followed for one document. */
const MAX_REDIRECTS = 5
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

export interface JsonFetcher {
  /**
   * Fetches and parses the JSON at an https URL. Rejects with an Error for anything but a 200 with
   * JSON, and as soon as `signal` aborts.
   */
  fetchJson(url: URL, signal: AbortSignal): Promise<unknown>
  /** Closes open connections; later fetches reject. */
  close(): void
}

export interface JsonFetcherOptions {
  /** PEM. Undefined: the certificate authorities that Node trusts. */
  readonly certificateAuthority: string | undefined
  /** The proxy in the environment. */
  readonly proxyFor: ProxyFor
  /** The issuer's own proxy, in place of that one. */
  readonly proxy?: IssuerProxy | undefined
}

/** The way to one URL. */
interface Route {
  readonly dispatcher: Dispatcher
  /** The proxy and where it is configured; undefined for a direct connection. */
  readonly proxy: string | undefined
}

/** No response in time from a proxy, or from an issuer behind it. */
export class ProxyTimeoutError extends Error {
  /** The proxy and where it is configured. */
  readonly proxy: string

  constructor(proxy: string, options: ErrorOptions) {
    super(`no response through ${proxy}`, options)
    this.name = 'TimeoutError'
    this.proxy = proxy
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Creates a client for one issuer's documents. It speaks https only and always verifies the server's
 * certificate. It follows redirects only on the origin of the URL, since only the configuration and the
 * discovery document may name a server. It refuses compressed bodies and limits their size. Documents are
 * fetched rarely, so connections are not reused.
 */
export function createJsonFetcher({
  certificateAuthority,
  proxyFor,
  proxy: ownProxy,
}: JsonFetcherOptions): JsonFetcher {
  const options = { allowH2: false, pipelining: 0, maxResponseSize: MAX_DOCUMENT_BYTES }
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

  function send(url: URL, route: Route, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const headers = { accept: 'application/json', 'accept-encoding': 'identity' }
    const { dispatcher, proxy } = route
    return get(url, { dispatcher, signal, headers }).catch((error: unknown) => {
      throw signal.aborted || proxy === undefined ? error : failedThrough(proxy, error)
    })
  }

  async function fetchJson(
    url: URL,
    route: Route,
    signal: AbortSignal,
    redirects = 0,
  ): Promise<unknown> {
    const { statusCode, headers, body } = await send(url, route, signal)
    const discard = (): void => {
      body.on('error', () => undefined)
      body.destroy()
    }
    if (REDIRECTS.has(statusCode)) {
      discard()
      const target = redirectTarget(url, headers['location'], redirects)
      // On the same origin, so the route is the same.
      return fetchJson(target, route, signal, redirects + 1)
    }
    const problem = responseProblem(statusCode, headers['content-encoding'])
    if (problem !== undefined) {
      discard()
      throw new Error(`${url.href} ${problem}`)
    }
    return parse(url, await body.bytes())
  }

  return {
    async fetchJson(url, signal) {
      requireHttps(url)
      const route = routeTo(url)
      const { proxy } = route
      try {
        return await fetchJson(url, route, signal)
      } catch (error) {
        const isTimeout = signal.aborted && (error as Error).name === 'TimeoutError'
        if (!isTimeout || proxy === undefined) throw error
        throw new ProxyTimeoutError(proxy, { cause: error })
      }
    },
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

function failedThrough(proxy: string, error: unknown): Error {
  const { message, code } = error as Error & { readonly code?: string }
  const [, status] = /^Proxy response \((\d+)\)/.exec(message) ?? []
  const what =
    status === undefined
      ? message || (code ?? 'the connection failed')
      : `the proxy responded with ${status}`
  return new Error(`through ${proxy}: ${what}`, { cause: error })
}

function requireHttps(url: URL): void {
  if (url.protocol !== 'https:') throw new Error(`${url.href} is not an https URL`)
}

/**
 * Where a redirect leads.
 *
 * @throws Error when it must not be followed
 */
function redirectTarget(url: URL, location: string | string[] | undefined, redirects: number): URL {
  const target = typeof location === 'string' ? URL.parse(location, url) : null
  if (target === null) throw new Error(`${url.href} redirects without a valid Location`)
  if (target.origin !== url.origin) {
    throw new Error(
      `${url.href} redirects to another origin, ${quote(target.origin)}, which is not followed: ` +
        'configure the URL that it leads to as discoveryURL, if you trust that server',
    )
  }
  if (redirects >= MAX_REDIRECTS)
    throw new Error(`${url.href} redirects more than ${MAX_REDIRECTS} times`)
  // They are no part of the origin.
  target.username = ''
  target.password = ''
  return target
}

function responseProblem(
  statusCode: number,
  contentEncoding: string | string[] | undefined,
): string | undefined {
  if (statusCode !== 200) return `responded with HTTP ${statusCode}`
  if (contentEncoding !== undefined && contentEncoding !== 'identity') {
    return 'responded with a compressed body'
  }
  return undefined
}

function parse(url: URL, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes)) as unknown
  } catch {
    throw new Error(`${url.href} did not respond with JSON`)
  }
}

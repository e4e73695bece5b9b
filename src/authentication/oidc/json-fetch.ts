import type { Dispatcher } from 'undici'

import { Agent, createProxyAgent, get } from '../../undici.ts'
import type { ProxyFor } from '../../config/egress-proxy.ts'
import { quote } from '../quote.ts'

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
  readonly proxyFor: ProxyFor
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
}: JsonFetcherOptions): JsonFetcher {
  const options = { allowH2: false, pipelining: 0, maxResponseSize: MAX_DOCUMENT_BYTES }
  const tls = {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    ...(certificateAuthority === undefined
      ? {}
      : { ca: certificateAuthority, allowPartialTrustChain: true }),
  } as const
  const agent = new Agent({ ...options, connect: tls })
  /** By the URL of the proxy. */
  const tunnels = new Map<string, Dispatcher>()

  /** Through a proxy, TLS is still with the issuer, by its own CA. */
  function tunnelThrough(proxy: URL): Dispatcher {
    let tunnel = tunnels.get(proxy.href)
    if (tunnel === undefined) {
      tunnel = createProxyAgent({ ...options, uri: proxy.href, requestTls: tls })
      tunnels.set(proxy.href, tunnel)
    }
    return tunnel
  }

  function send(url: URL, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const headers = { accept: 'application/json', 'accept-encoding': 'identity' }
    const proxy = proxyFor(url)
    if (proxy === undefined) return get(url, { dispatcher: agent, signal, headers })
    return get(url, { dispatcher: tunnelThrough(proxy), signal, headers }).catch(
      (error: unknown) => {
        throw signal.aborted ? error : failedThroughProxy(error)
      },
    )
  }

  async function fetchJson(url: URL, signal: AbortSignal, redirects = 0): Promise<unknown> {
    const { statusCode, headers, body } = await send(url, signal)
    const discard = (): void => {
      body.on('error', () => undefined)
      body.destroy()
    }
    if (REDIRECTS.has(statusCode)) {
      discard()
      return fetchJson(redirectTarget(url, headers['location'], redirects), signal, redirects + 1)
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
      return fetchJson(url, signal)
    },
    close() {
      for (const one of [agent, ...tunnels.values()]) one.destroy().catch(() => undefined)
    },
  }
}

/** The proxy's URL may contain a password, so it is not named. */
function failedThroughProxy(error: unknown): Error {
  const { message, code } = error as Error & { readonly code?: string }
  const [, status] = /^Proxy response \((\d+)\)/.exec(message) ?? []
  const what =
    status === undefined
      ? message || (code ?? 'the connection failed')
      : `the proxy responded with ${status}`
  return new Error(`through the proxy in HTTPS_PROXY: ${what}`, { cause: error })
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

import type { HttpRequest, HttpResponse } from '../../groups/group-source.ts'
import { quote } from '../quote.ts'
import {
  createIssuerConnection,
  type IssuerConnectionOptions,
  type Route,
} from './issuer-connection.ts'

/** Redirects that are followed for one document. */
const MAX_REDIRECTS = 5
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

export interface JsonFetcher {
  /**
   * Fetches and parses the JSON at an https URL. Rejects with an Error for anything but a 200 with
   * JSON, and as soon as `signal` aborts.
   */
  fetchJson(url: URL, signal: AbortSignal): Promise<unknown>
  /** Sends a request; the response may have any status. Rejects as `fetchJson`. */
  send(url: URL, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse>
  /** Closes open connections; later fetches reject. */
  close(): void
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

const ACCEPT = { accept: 'application/json', 'accept-encoding': 'identity' } as const
const DOCUMENT = { method: 'GET', headers: ACCEPT } as const

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Creates a client for one issuer's documents. It speaks https only and always verifies the server's
 * certificate. It follows redirects only on the origin of the URL, since only the configuration and the
 * discovery document may name a server. It refuses compressed bodies and limits their size. Documents are
 * fetched rarely, so connections are not reused.
 */
export function createJsonFetcher(options: IssuerConnectionOptions): JsonFetcher {
  const connection = createIssuerConnection(options)

  async function fetchJson(
    url: URL,
    route: Route,
    signal: AbortSignal,
    redirects = 0,
  ): Promise<unknown> {
    const { status, headers, read, discard } = await route.send(url, DOCUMENT, signal)
    if (REDIRECTS.has(status)) {
      discard()
      const target = redirectTarget(url, headers['location'], redirects)
      // On the same origin, so the route is the same.
      return fetchJson(target, route, signal, redirects + 1)
    }
    const problem = responseProblem(status, headers['content-encoding'])
    if (problem !== undefined) {
      discard()
      throw new Error(`${url.href} ${problem}`)
    }
    return parse(url, await read())
  }

  async function throughRoute<T>(
    url: URL,
    signal: AbortSignal,
    act: (route: Route) => Promise<T>,
  ): Promise<T> {
    requireHttps(url)
    const route = connection.routeTo(url)
    const { proxy } = route
    try {
      return await act(route)
    } catch (error) {
      const isTimeout = signal.aborted && (error as Error).name === 'TimeoutError'
      if (!isTimeout || proxy === undefined) throw error
      throw new ProxyTimeoutError(proxy, { cause: error })
    }
  }

  return {
    fetchJson: (url, signal) => throughRoute(url, signal, (route) => fetchJson(url, route, signal)),
    send: (url, request, signal) =>
      throughRoute(url, signal, async (route) => {
        const headers = { ...request.headers, ...ACCEPT }
        const response = await route.send(url, { ...request, headers }, signal)
        const text = decoder.decode(await response.read())
        return { status: response.status, headers: response.headers, json: parsed(text) }
      }),
    close: () => connection.close(),
  }
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
  // They are not part of the origin.
  target.username = ''
  target.password = ''
  return target
}

function responseProblem(
  status: number,
  contentEncoding: string | string[] | undefined,
): string | undefined {
  if (status !== 200) return `responded with HTTP ${status}`
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

/** Undefined if it is not JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

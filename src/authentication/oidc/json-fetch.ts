import { Agent, get } from '../../undici.ts'

/** Largest discovery document or key set that is read, in bytes. */
const MAX_DOCUMENT_BYTES = 1_048_576

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
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Creates a client for one issuer's documents. It speaks https only and always verifies the server's
 * certificate. It does not follow redirects, since only the configuration and the discovery document
 * may name a URL, refuses compressed bodies and limits their size. Documents are fetched rarely, so
 * connections are not reused.
 */
export function createJsonFetcher({ certificateAuthority }: JsonFetcherOptions): JsonFetcher {
  const agent = new Agent({
    allowH2: false,
    pipelining: 0,
    maxResponseSize: MAX_DOCUMENT_BYTES,
    connect: {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      ...(certificateAuthority === undefined
        ? {}
        : { ca: certificateAuthority, allowPartialTrustChain: true }),
    },
  })
  return {
    async fetchJson(url, signal) {
      requireHttps(url)
      const { statusCode, headers, body } = await get(url, {
        dispatcher: agent,
        signal,
        headers: { accept: 'application/json', 'accept-encoding': 'identity' },
      })
      const problem = responseProblem(statusCode, headers['content-encoding'])
      if (problem !== undefined) {
        body.on('error', () => undefined)
        body.destroy()
        throw new Error(`${url.href} ${problem}`)
      }
      return parse(url, await body.bytes())
    },
    close() {
      agent.destroy().catch(() => undefined)
    },
  }
}

function requireHttps(url: URL): void {
  if (url.protocol !== 'https:') throw new Error(`${url.href} is not an https URL`)
}

function responseProblem(
  statusCode: number,
  contentEncoding: string | string[] | undefined,
): string | undefined {
  if (statusCode >= 300 && statusCode < 400) {
    return `responded with a redirect (${statusCode}), which is not followed`
  }
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

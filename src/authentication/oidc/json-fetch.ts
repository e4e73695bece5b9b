import { Agent, get } from '../../undici.ts'

/** Longest discovery document or key set that is read, in bytes. */
const MAX_DOCUMENT_BYTES = 1_048_576

export interface JsonFetcher {
  /**
   * The JSON behind an https URL. Rejects with an Error for whatever is not a 200 with JSON in it,
   * and when `signal` aborts, wherever the exchange is then.
   */
  fetchJson(url: URL, signal: AbortSignal): Promise<unknown>
  /** Ends what is open; later fetches reject. */
  close(): void
}

export interface JsonFetcherOptions {
  /** PEM. Undefined: the certificate authorities that Node trusts. */
  readonly certificateAuthority: string | undefined
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Makes a client for one issuer's documents: https only, its certificate always verified, no
 * redirect followed (the place of the keys is the operator's and the discovery document's to say),
 * no compression, bounded size. Documents are fetched rarely, so no connection is kept.
 */
export function createJsonFetcher({ certificateAuthority }: JsonFetcherOptions): JsonFetcher {
  const agent = new Agent({
    allowH2: false,
    pipelining: 0,
    maxResponseSize: MAX_DOCUMENT_BYTES,
    connect: {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      ...(certificateAuthority === undefined ? {} : { ca: certificateAuthority }),
    },
  })
  return {
    async fetchJson(url, signal) {
      refuseOtherThanHttps(url)
      const { statusCode, headers, body } = await get(url, {
        dispatcher: agent,
        signal,
        headers: { accept: 'application/json', 'accept-encoding': 'identity' },
      })
      const problem = answerProblem(statusCode, headers['content-encoding'])
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

function refuseOtherThanHttps(url: URL): void {
  if (url.protocol !== 'https:') throw new Error(`${url.href} is not https`)
}

function answerProblem(
  statusCode: number,
  contentEncoding: string | string[] | undefined,
): string | undefined {
  if (statusCode >= 300 && statusCode < 400) {
    return `answers with a redirect (${statusCode}), which is not followed`
  }
  if (statusCode !== 200) return `answers with HTTP ${statusCode}`
  if (contentEncoding !== undefined && contentEncoding !== 'identity') return 'answers compressed'
  return undefined
}

function parse(url: URL, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes)) as unknown
  } catch {
    throw new Error(`${url.href} does not answer with JSON`)
  }
}

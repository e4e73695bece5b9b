/** HTTP for everything that the client fetches: through proxies of the environment, with limits. */
import { EnvHttpProxyAgent, request as sendRequest, type Dispatcher } from './undici.ts'
import type { CertificatePair } from '../session/session.ts'
import { trusting } from './certificates.ts'

export interface HttpRequest {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: string
}

export interface HttpClient {
  /**
   * Sends a request. Redirects are not followed.
   *
   * @throws Error of the network or TLS; `describeNetworkError` explains it
   */
  send(url: string, request?: HttpRequest): Promise<HttpResponse>
  close(): Promise<void>
}

const TIMEOUT_MS = 20_000
const CONNECT_TIMEOUT_MS = 10_000
const MAX_BODY_BYTES = 1_048_576

/**
 * Creates a client.
 *
 * @param ca PEM; empty for the CAs that this machine trusts
 * @param isUnverified accepts any certificate: only for a response that is not trusted
 */
export function createHttpClient({
  ca,
  certificate,
  isUnverified = false,
}: {
  readonly ca: string
  /** The client certificate. */
  readonly certificate?: CertificatePair | undefined
  readonly isUnverified?: boolean
}): HttpClient {
  const tls = {
    ...trusting(ca),
    rejectUnauthorized: !isUnverified,
    ...(certificate === undefined ? {} : { cert: certificate.certificate, key: certificate.key }),
  }
  const dispatcher = new EnvHttpProxyAgent({
    connect: { ...tls, timeout: CONNECT_TIMEOUT_MS },
    requestTls: { ...tls, timeout: CONNECT_TIMEOUT_MS },
    allowH2: false,
  })
  return {
    async send(url, { method = 'GET', headers = {}, body } = {}) {
      const response = await sendRequest(new URL(url), {
        dispatcher,
        method,
        headers,
        body: body ?? null,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      return {
        status: response.statusCode,
        headers: response.headers,
        body: await textOf(response.body),
      }
    },
    close: () => dispatcher.destroy(),
  }
}

async function textOf(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_BODY_BYTES) throw new Error('the response is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The client as the `fetch` that openid-client takes. */
export function fetchBy(http: HttpClient): (
  url: string,
  options: {
    readonly method: string
    readonly headers: Readonly<Record<string, string>>
    readonly body?: unknown
  },
) => Promise<Response> {
  return async (url, { method, headers, body }) => {
    const {
      status,
      headers: received,
      body: text,
    } = await http.send(url, {
      method: method === 'POST' ? 'POST' : 'GET',
      headers,
      ...(body === undefined || body === null ? {} : { body: bodyText(body) }),
    })
    const isEmpty = status === 204 || status === 304
    return new Response(isEmpty ? null : text, { status, headers: headerPairs(received) })
  }
}

function bodyText(body: unknown): string {
  if (body instanceof URLSearchParams) return body.toString()
  if (typeof body === 'string') return body
  throw new TypeError('only forms and texts are sent')
}

function headerPairs(headers: HttpResponse['headers']): [string, string][] {
  return Object.entries(headers).flatMap(([name, value = []]) =>
    [value].flat().map((each): [string, string] => [name, each]),
  )
}

import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'

/** A server and the client certificate to present to it. Files are PEM. */
export interface Endpoint {
  url: string
  caFile: string
  certFile: string
  keyFile: string
}

/** A response, read to its end. */
export interface ApiResponse {
  status: number
  body: string
}

/**
 * Sends one request, with `body` as JSON, on a connection of its own. Any status is a response;
 * throws when there is none.
 */
export async function callApi(
  endpoint: Endpoint,
  method: string,
  path: string,
  body?: unknown,
): Promise<ApiResponse> {
  const [ca, cert, key] = await Promise.all([
    readFile(endpoint.caFile),
    readFile(endpoint.certFile),
    readFile(endpoint.keyFile),
  ])
  const { promise, resolve, reject } = Promise.withResolvers<ApiResponse>()
  const outgoing = request(new URL(path, endpoint.url), {
    method,
    ca,
    cert,
    key,
    agent: false,
    headers: { 'content-type': 'application/json', accept: 'application/json' },
  })
  outgoing.once('error', reject)
  outgoing.once('response', (response) => {
    text(response).then(
      (content) => resolve({ status: response.statusCode ?? 0, body: content }),
      reject,
    )
  })
  outgoing.end(body === undefined ? undefined : JSON.stringify(body))
  return promise
}

import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'

/** Where to ask, and with which client certificate. Files are PEM. */
export interface Endpoint {
  url: string
  caFile: string
  certFile: string
  keyFile: string
}

/** An answer, read to its end. */
export interface Answer {
  status: number
  body: string
}

/** One request on a connection of its own. Throws when no answer comes. */
export async function ask(
  endpoint: Endpoint,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const [ca, cert, key] = await Promise.all(
    [endpoint.caFile, endpoint.certFile, endpoint.keyFile].map((file) => readFile(file)),
  )
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const outgoing = request(new URL(path, endpoint.url), {
    method,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
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

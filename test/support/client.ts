/** A client of Gatehouse: undici with one credential and its own connection pool. */
import { Agent, request } from 'undici'

import type { KeyPair } from '../../certs-dev/pki.ts'

export interface ClientResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface Client {
  ask(
    path: string,
    options?: {
      readonly method?: string
      readonly body?: string
      readonly headers?: Record<string, string>
    },
  ): Promise<ClientResponse>
  close(): Promise<void>
}

export interface ClientOptions {
  readonly url: string
  readonly ca: string
  readonly token?: string
  readonly certificate?: KeyPair
  readonly http2?: boolean
}

/** Creates a client; `close` ends its connections. */
export function createClient(options: ClientOptions): Client {
  const { url, ca, token, certificate } = options
  const agent = new Agent({
    allowH2: options.http2 ?? false,
    connect: {
      ca,
      ...(certificate === undefined
        ? {}
        : { cert: certificate.certificatePem, key: certificate.keyPem }),
    },
  })
  return {
    async ask(path, { method = 'GET', body, headers } = {}) {
      const response = await request(url + path, {
        dispatcher: agent,
        method: method as 'GET',
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body }),
      })
      return {
        status: response.statusCode,
        headers: response.headers,
        body: await response.body.text(),
      }
    },
    close: () => agent.destroy(),
  }
}

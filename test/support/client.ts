/** A user of Gatehouse: undici with one credential, one connection pool of its own. */
import { Agent, request } from 'undici'

import type { KeyPair } from '../../certs-dev/pki.ts'

export interface ClientAnswer {
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
  ): Promise<ClientAnswer>
  close(): Promise<void>
}

export interface ClientOptions {
  readonly url: string
  readonly ca: string
  readonly token?: string
  readonly certificate?: KeyPair
  readonly http2?: boolean
}

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
      const answer = await request(url + path, {
        dispatcher: agent,
        method: method as 'GET',
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body }),
      })
      return {
        status: answer.statusCode,
        headers: answer.headers,
        body: await answer.body.text(),
      }
    },
    close: () => agent.destroy(),
  }
}

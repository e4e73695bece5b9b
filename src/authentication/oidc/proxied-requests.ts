/** Requests to issuers through an egress proxy, by undici: loaded only where there is a proxy. */
import type { ProxyAgent } from 'undici'

import { createProxyAgent, request } from '../../undici.ts'
import type { IssuerResponse, SendToIssuer } from './issuer-request.ts'

export interface ProxiedRequests {
  /** An abort may have another error than its reason, and errors do not name the proxy. */
  readonly send: SendToIssuer
  /** Closes open connections. */
  readonly close: () => void
}

/** Creates a client whose requests go through one proxy. */
export function createProxiedRequests(options: ProxyAgent.Options): ProxiedRequests {
  const dispatcher = createProxyAgent({ ...options, allowH2: false, pipelining: 0 })
  return {
    async send(url, { method, headers, body: content }, signal): Promise<IssuerResponse> {
      const {
        statusCode,
        headers: received,
        body,
      } = await request(url, {
        ...{ dispatcher, signal, method, headers },
        ...(content === undefined ? {} : { body: content }),
      })
      return {
        status: statusCode,
        headers: received,
        read: () => body.bytes(),
        discard: () => void body.on('error', () => undefined).destroy(),
      }
    },
    close: () => void dispatcher.destroy().catch(() => undefined),
  }
}

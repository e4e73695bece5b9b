/**
 * The parts of undici that are used for egress proxies, imported by file. The whole library (fetch, WebSocket,
 * caches, mocks) would take a third of the startup time and half of the published package.
 */
import { isIP } from 'node:net'

import type { buildConnector, Dispatcher } from 'undici'
import ProxyAgent from 'undici/lib/dispatcher/proxy-agent.js'
import Pool from 'undici/lib/dispatcher/pool.js'
import apiConnect from 'undici/lib/api/api-connect.js'
import apiRequest from 'undici/lib/api/api-request.js'

/** Creates a dispatcher whose requests go through a proxy, by CONNECT. */
export function createProxyAgent(options: ProxyAgent.Options): ProxyAgent {
  return new ProxyAgent({
    ...options,
    clientFactory(origin, poolOptions) {
      const { connect } = poolOptions as { connect: buildConnector.connector }
      const pool = new Pool(origin, {
        ...poolOptions,
        // undici names the proxy in SNI even if it is an address, which node does not take.
        connect: ({ servername = '', ...target }, callback) =>
          connect(isIP(servername) === 0 ? { servername, ...target } : target, callback),
      })
      // undici's index puts this method on every dispatcher.
      return Object.assign(pool, { connect: apiConnect })
    },
  })
}

/** Sends a request of any method. Resolves with the response header; the body is still to be read. */
export function request(
  url: URL,
  {
    dispatcher,
    ...options
  }: { dispatcher: Dispatcher } & Pick<
    Dispatcher.RequestOptions,
    'signal' | 'headers' | 'body' | 'method'
  >,
): Promise<Dispatcher.ResponseData> {
  return apiRequest.call(dispatcher, {
    ...options,
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
  })
}

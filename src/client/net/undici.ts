/** The parts of undici that the client uses, imported by file, as in src/undici.ts. */
import type { Dispatcher } from 'undici'
import apiRequest from 'undici/lib/api/api-request.js'
import EnvHttpProxyAgent from 'undici/lib/dispatcher/env-http-proxy-agent.js'

export { EnvHttpProxyAgent, type Dispatcher }

/** Sends a request. Resolves with the response header; the body is still to be read. */
export function request(
  url: URL,
  {
    dispatcher,
    ...options
  }: { readonly dispatcher: Dispatcher } & Omit<Dispatcher.RequestOptions, 'origin' | 'path'>,
): Promise<Dispatcher.ResponseData> {
  return apiRequest.call(dispatcher, {
    ...options,
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
  })
}

/**
 * The parts of undici that Gatehouse uses, imported by file. The whole library (fetch, WebSocket,
 * caches, mocks) would take a third of the startup time and half of the published package.
 */
import type { Dispatcher } from 'undici'
import Agent from 'undici/lib/dispatcher/agent.js'
import Pool from 'undici/lib/dispatcher/pool.js'
import apiRequest from 'undici/lib/api/api-request.js'
import buildConnector from 'undici/lib/core/connect.js'

export { Agent, buildConnector, Pool }

/** Sends a GET request. Resolves with the response header; the body is still to be read. */
export function get(
  url: URL,
  {
    dispatcher,
    ...options
  }: { dispatcher: Dispatcher } & Pick<Dispatcher.RequestOptions, 'signal' | 'headers'>,
): Promise<Dispatcher.ResponseData> {
  return apiRequest.call(dispatcher, {
    ...options,
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    method: 'GET',
  })
}

/** Sends a POST request. Resolves with the response header; the body is still to be read. */
export function post(
  path: string,
  {
    dispatcher,
    ...options
  }: { dispatcher: Dispatcher } & Pick<Dispatcher.RequestOptions, 'signal' | 'headers' | 'body'>,
): Promise<Dispatcher.ResponseData> {
  return apiRequest.call(dispatcher, { ...options, path, method: 'POST' })
}

/**
 * The parts of undici that Gatehouse uses, by their files. The whole of it (fetch, WebSocket, caches,
 * mocks) takes a third of the time of a start and half of what is published, for nothing.
 */
import type { Dispatcher } from 'undici'
import Agent from 'undici/lib/dispatcher/agent.js'
import Pool from 'undici/lib/dispatcher/pool.js'
import apiRequest from 'undici/lib/api/api-request.js'
import buildConnector from 'undici/lib/core/connect.js'

export { Agent, buildConnector, Pool }

/** A GET by this dispatcher. Resolves with the head, and the body yet to be read. */
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

/** A POST by this dispatcher, to its origin. Resolves with the head, and the body yet to be read. */
export function post(
  path: string,
  {
    dispatcher,
    ...options
  }: { dispatcher: Dispatcher } & Pick<Dispatcher.RequestOptions, 'signal' | 'headers' | 'body'>,
): Promise<Dispatcher.ResponseData> {
  return apiRequest.call(dispatcher, { ...options, path, method: 'POST' })
}

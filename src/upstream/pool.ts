/** HTTP/1.1 to the API server over undici's keep-alive pool. */
import type { Dispatcher } from 'undici'

import type { ConnectionLimits, UpstreamEndpoint } from '../cluster/endpoint.ts'
import { tlsOptions } from '../cluster/tls-options.ts'
import { StatusError } from '../status.ts'
import { buildConnector, Pool } from '../undici.ts'
import { QUEUE_FULL } from './errors.ts'
import {
  MAX_RESPONSE_HEAD,
  type ResponseReceiver,
  type Transport,
  type UpstreamRequest,
} from './transport.ts'

export interface PoolOptions {
  readonly endpoint: UpstreamEndpoint
  readonly limits: ConnectionLimits
  /** Null: as many connections as there are requests (streams, each of which holds one). */
  readonly maxConnections: number | null
}

/**
 * Makes the pool. undici destroys a connection whose request body was not sent to its announced
 * end, and never sends a request twice that was begun; test/attack/connection-reuse holds both.
 */
export function createPoolTransport({ endpoint, limits, maxConnections }: PoolOptions): Transport {
  const pool = new Pool(`https://${endpoint.host}`, {
    connections: maxConnections,
    pipelining: 1,
    allowH2: false,
    strictContentLength: true,
    maxHeaderSize: MAX_RESPONSE_HEAD,
    headersTimeout: limits.responseHeaderTimeout,
    bodyTimeout: limits.responseHeaderTimeout,
    keepAliveTimeout: limits.idleTimeout,
    keepAliveMaxTimeout: limits.idleTimeout,
    connect: buildConnector({
      ...tlsOptions(endpoint.tls),
      timeout: limits.connectTimeout,
      allowH2: false,
    }),
  })
  // Requests waiting for a connection are bounded too: beyond, the API server is too slow to help.
  const maxInFlight = maxConnections === null ? Infinity : maxConnections * 16
  let inFlight = 0

  return {
    send(request, receiver) {
      if (inFlight >= maxInFlight) {
        throw new StatusError('ServiceUnavailable', 'too many requests wait for the API server', {
          headers: { 'Retry-After': '1' },
          cause: Object.assign(new Error(`${inFlight} requests are under way`), {
            code: QUEUE_FULL,
          }),
        })
      }
      inFlight += 1
      pool.dispatch(
        dispatchOptions(request),
        new DispatchAdapter(receiver, () => {
          inFlight -= 1
        }),
      )
    },
    close: () => pool.close(),
    destroy: () => pool.destroy(),
  }
}

function dispatchOptions(request: UpstreamRequest): Dispatcher.DispatchOptions {
  const { body, contentLength } = request
  const headers = [...request.headers]
  if (body !== undefined && contentLength !== undefined) {
    headers.push('content-length', String(contentLength))
  }
  return {
    path: request.path,
    method: request.method,
    headers,
    body: body ?? null,
    // undici gives a connection up after any DELETE with a body; kubectl sends one with each.
    ...(request.method === 'DELETE' && body !== undefined ? { reset: false } : {}),
    ...(request.isLongRunning ? { headersTimeout: 0, bodyTimeout: 0 } : {}),
  }
}

/** undici's handler shape over `ResponseReceiver`. */
class DispatchAdapter implements Dispatcher.DispatchHandler {
  readonly #receiver: ResponseReceiver
  readonly #done: () => void

  constructor(receiver: ResponseReceiver, done: () => void) {
    this.#receiver = receiver
    this.#done = done
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#receiver.onStart(controller)
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.#receiver.onHead(status, headers)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#receiver.onData(chunk)
  }

  onResponseEnd(): void {
    this.#done()
    this.#receiver.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#done()
    this.#receiver.onError(error)
  }
}

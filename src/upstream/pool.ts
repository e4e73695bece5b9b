/** HTTP/1.1 to the API server over undici's pool of keep-alive connections. */
import type { Dispatcher } from 'undici'

import type { ConnectionLimits, UpstreamEndpoint } from '../cluster/endpoint.ts'
import { tlsOptions } from '../cluster/tls-options.ts'
import { buildConnector, Pool } from '../undici.ts'
import {
  MAX_RESPONSE_HEAD,
  type ResponseReceiver,
  type Transport,
  type UpstreamRequest,
} from './transport.ts'

export interface PoolOptions {
  readonly endpoint: UpstreamEndpoint
  readonly limits: ConnectionLimits
  /** Null for no limit (streams, each of which holds a connection). */
  readonly maxConnections: number | null
}

/**
 * Creates the pool. undici destroys a connection whose request body was not sent to its announced end,
 * and never sends a request again that it has begun; test/attack/connection-reuse checks both.
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
  return {
    send(request, receiver) {
      pool.dispatch(dispatchOptions(request), new DispatchAdapter(receiver))
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
    // undici closes a connection after any DELETE with a body by default; kubectl always sends one.
    ...(request.method === 'DELETE' && body !== undefined ? { reset: false } : {}),
    ...(request.isLongRunning ? { headersTimeout: 0, bodyTimeout: 0 } : {}),
  }
}

/** Adapts a `ResponseReceiver` to undici's handler. */
class DispatchAdapter implements Dispatcher.DispatchHandler {
  readonly #receiver: ResponseReceiver

  constructor(receiver: ResponseReceiver) {
    this.#receiver = receiver
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
    this.#receiver.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#receiver.onError(error)
  }
}

/** A TLS connection to the API server, outside the pool. */
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'

import type { ConnectionLimits, UpstreamEndpoint } from './endpoint.ts'
import { tlsOptions } from './tls-options.ts'

export interface ConnectOptions {
  /** ALPN, the one that is liked most first. */
  readonly protocols: readonly string[]
  /** A side that is done sending may still receive. */
  readonly allowHalfOpen?: boolean
}

/** Starts to connect; the socket errors when that takes longer than `limits.connectTimeout`. */
export function connectTls(
  endpoint: UpstreamEndpoint,
  limits: ConnectionLimits,
  { protocols, allowHalfOpen = false }: ConnectOptions,
): TLSSocket {
  const options: ConnectionOptions & { allowHalfOpen: boolean } = {
    host: endpoint.hostname,
    port: endpoint.port,
    ...tlsOptions(endpoint.tls),
    ALPNProtocols: [...protocols],
    allowHalfOpen,
  }
  const socket = connect(options)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, 30_000)
  const timer = setTimeout(() => {
    socket.destroy(Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' }))
  }, limits.connectTimeout)
  socket.once('secureConnect', () => clearTimeout(timer))
  socket.once('close', () => clearTimeout(timer))
  return socket
}

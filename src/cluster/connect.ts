/** TLS connections to the API server. */
import type { OnReadOpts } from 'node:net'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'

import type { ConnectionLimits, UpstreamEndpoint } from './endpoint.ts'
import { secureContextOf, tlsOptions } from './tls-options.ts'

/** Idle time before the first TCP keep-alive probe. */
const KEEP_ALIVE_MS = 30_000

export interface ConnectOptions {
  /** ALPN protocols in order of preference. */
  readonly protocols: readonly string[]
  /** Whether either side may still send after the other has ended. */
  readonly allowHalfOpen?: boolean
  /** Reads into this buffer instead of emitting `data`; the same one serves any number of connections. */
  readonly onread?: OnReadOpts
}

/** Starts connecting; the socket errors with ETIMEDOUT after `limits.connectTimeout`. */
export function connectTls(
  endpoint: UpstreamEndpoint,
  limits: ConnectionLimits,
  { protocols, allowHalfOpen = false, onread }: ConnectOptions,
): TLSSocket {
  const options: ConnectionOptions & { allowHalfOpen: boolean; onread?: OnReadOpts } = {
    host: endpoint.hostname,
    port: endpoint.port,
    ...tlsOptions(endpoint.tls),
    secureContext: secureContextOf(endpoint.tls),
    ALPNProtocols: [...protocols],
    allowHalfOpen,
    ...(onread === undefined ? {} : { onread }),
  }
  const socket = connect(options)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  const timer = setTimeout(() => {
    socket.destroy(Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' }))
  }, limits.connectTimeout)
  socket.once('secureConnect', () => clearTimeout(timer))
  socket.once('close', () => clearTimeout(timer))
  return socket
}

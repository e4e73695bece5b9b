/**
 * The only listener for users: TLS, then HTTP/1.1 or HTTP/2 by ALPN; each request is passed on as an
 * `Exchange`.
 *
 * `node:https` listens and enforces its timeouts on HTTP/1.1; HTTP/2 sessions are created on the same
 * TLS sockets by `performServerHandshake`, so that both share one port and one set of limits.
 */
import type { Server } from 'node:https'
import type { AddressInfo } from 'node:net'

import {
  acceptConnections,
  createTlsServer,
  setDefaultContext,
  type ServerLimits,
} from './accept.ts'
import { createAcceptedSockets, type AcceptLimits } from './accepted-sockets.ts'
import type { Http2Limits } from './http2-server.ts'
import { createNetworks } from '../config/networks.ts'
import { createLiveConnections } from './live-connections.ts'
import { createRefusedConnections } from './refused-connections.ts'
import { serveSecureConnections } from './secure-connections.ts'
import type { ListenerEffects } from './served-connection.ts'
import type { ListenerTls } from './tls.ts'
import { limitUnauthenticatedBytes } from './unauthenticated-bytes.ts'

export interface ListenerLimits extends ServerLimits, Http2Limits, AcceptLimits {
  /** Bytes of requests without an authenticated user that all connections together may keep. */
  readonly maxUnauthenticatedBytes: number
}

/** In this time, one core receives and parses about 20 MB. */
const CHECK_INTERVAL_MS = 50

export interface ListenerOptions {
  readonly address: string
  readonly port: number
  /** Whether other processes that set it as well may listen on the same port (SO_REUSEPORT). */
  readonly reusePort?: boolean
  /** Addresses and networks, such as 10.0.0.0/8, whose connections begin with a PROXY protocol header. */
  readonly proxyNetworks?: readonly string[]
  readonly limits: ListenerLimits
  readonly http2: boolean
  readonly tls: ListenerTls
  readonly requestClientCertificate: boolean
}

export interface Listener {
  readonly address: { readonly host: string; readonly port: number }
  /** Counts loads of the client CA; verdicts on certificates from an earlier one are void. */
  readonly generation: () => number
  /** New handshakes use it; with `trustChanged`, connections that presented a certificate are retired. */
  updateTls(tls: ListenerTls, trustChanged: boolean): void
  /** Takes no new connections; idle ones are closed, busy ones finish first. */
  drain(): void
  /** Destroys the connections that are left. */
  destroy(): Promise<void>
}

/**
 * How many connections may wait to be accepted, for the moment when all clients reconnect at once. The kernel
 * allows at most `net.core.somaxconn`, 4,096 by default. Go's listeners use that value; node would ask for 511.
 */
const BACKLOG = 4_096

/** Starts listening. Resolves once bound; rejects when the address is not available. */
export async function startListener(
  options: ListenerOptions,
  effects: ListenerEffects,
): Promise<Listener> {
  const { limits, http2, requestClientCertificate } = options
  let current = options.tls
  let currentGeneration = 1
  const tls = (): ListenerTls => current
  const generation = (): number => currentGeneration

  const refused = createRefusedConnections(effects)
  const live = createLiveConnections()
  const accepted = createAcceptedSockets(limits, {
    isIdle: (key) => live.isIdle(key),
    onEvicted: (address) => refused('evicted', address),
    onHandshakeEvicted: (address) => refused('pending_handshakes', address),
  })
  const server = createTlsServer({ limits, http2, requestClientCertificate, tls })
  const { handshakeTimeout } = limits
  const isTrustedProxy = createNetworks(options.proxyNetworks ?? [])
  acceptConnections(
    server,
    { accepted, generation, refused, handshakeTimeout, isTrustedProxy },
    effects,
  )
  serveSecureConnections(server, { limits, accepted, live, tls }, effects)
  await listen(server, options)
  live.startSweep(limits.idleTimeout + limits.headerTimeout, limits.headerTimeout)
  const endChecks = limitUnauthenticatedBytes(
    { maxBytes: limits.maxUnauthenticatedBytes, interval: CHECK_INTERVAL_MS },
    {
      connections: () => live.all(),
      onEvicted: ({ connection }) => refused('unauthenticated_bytes', connection.remoteAddress),
    },
  )

  const bound = server.address() as AddressInfo
  return {
    address: { host: bound.address, port: bound.port },
    generation,
    updateTls(next, trustChanged) {
      setDefaultContext(server, next.context)
      current = next
      if (!trustChanged) return
      currentGeneration += 1
      live.retire(({ peerCertificate }) => peerCertificate !== undefined)
    },
    drain() {
      server.close()
      live.retire(() => true)
    },
    destroy() {
      endChecks()
      return live.destroy()
    },
  }
}

function listen(
  server: Server,
  { port, address: host, reusePort = false }: ListenerOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, reusePort, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

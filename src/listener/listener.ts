/**
 * The one listener: TLS, then HTTP/1.1 or HTTP/2 by ALPN, each request handed on as an `Exchange`.
 *
 * `node:https` listens and keeps its timers for HTTP/1.1; HTTP/2 sessions are made on the same TLS
 * sockets by `performServerHandshake`, so that both share one port and one set of bounds.
 */
import { performServerHandshake, type ServerHttp2Session } from 'node:http2'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

import type { ClientConnection } from '../http/exchange.ts'
import { createAcceptedSockets, socketKey, type AcceptBounds } from './accepted-sockets.ts'
import { chainBytes, describeConnection } from './client-connection.ts'
import { createGuard, guarded } from './exception-guard.ts'
import { attachHttp1 } from './http1-server.ts'
import { serveHttp2, sessionOptions, type Http2Limits } from './http2-server.ts'
import { createRefusedConnections } from './refused-connections.ts'
import type { ListenerEffects, ServedConnection } from './served-connection.ts'
import type { ListenerTls } from './tls.ts'

export interface ListenerLimits extends Http2Limits, AcceptBounds {
  /** Milliseconds from a connection or a request's first byte to the end of its head. */
  readonly headerTimeout: number
  /** Milliseconds that a connection without a request may stay open. */
  readonly idleTimeout: number
  readonly handshakeTimeout: number
}

export interface ListenerOptions {
  readonly address: string
  readonly port: number
  readonly limits: ListenerLimits
  readonly http2: boolean
  readonly tls: ListenerTls
  readonly requestClientCertificate: boolean
}

export interface Listener {
  readonly address: { readonly host: string; readonly port: number }
  /** Count of the loadings of the client CA; certificates judged by an earlier one are void. */
  readonly generation: () => number
  /** New handshakes use it; with `trustChanged`, connections that showed a certificate are retired. */
  updateTls(tls: ListenerTls, trustChanged: boolean): void
  /** Takes no new connection; idle ones end, busy ones are told to finish. */
  drain(): void
  /** Breaks off what is left. */
  destroy(): Promise<void>
}

/**
 * TCP probes, for HTTP/1.1 and tunnels: milliseconds of silence before the first and between them, and
 * how many are unanswered. The kernel's own first one would come after two hours.
 */
const KEEP_ALIVE = [60_000, 15_000, 9] as const

/** One live connection, whichever protocol. */
interface LiveConnection {
  readonly connection: ClientConnection
  readonly socket: TLSSocket
  /** Undefined until the protocol is known. */
  served: ServedConnection | undefined
}

/** Starts listening; resolves when bound, rejects when the address cannot be had. */
export async function startListener(
  options: ListenerOptions,
  effects: ListenerEffects,
): Promise<Listener> {
  const { limits } = options
  const { log, metrics } = effects
  let { tls } = options
  let generation = 1
  const live = new Map<string, LiveConnection>()
  const refused = createRefusedConnections(effects)
  const accepted = createAcceptedSockets(limits, {
    isIdle: (key) => live.get(key)?.served?.isIdle() ?? true,
    onEvicted: (address) => refused('evicted', address),
  })

  const server = createServer({
    ...tls.options,
    ALPNProtocols: options.http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
    SNICallback: (serverName, callback) => callback(null, tls.contextFor(serverName)),
    requestCert: options.requestClientCertificate,
    // A bad certificate is the authenticator's to judge: a 401 Status, not a TLS alert.
    rejectUnauthorized: false,
    handshakeTimeout: limits.handshakeTimeout,
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headerTimeout,
    keepAliveTimeout: limits.idleTimeout,
    keepAliveTimeoutBuffer: 0,
    connectionsCheckingInterval: Math.max(100, Math.min(limits.headerTimeout / 2, 5_000)),
    // The body may take its time: the API server cuts what is no stream after a minute.
    requestTimeout: 0,
    // Judged with the rest of the framing: node's own answer is no Status and leaves no record.
    requireHostHeader: false,
    optimizeEmptyRequests: true,
    allowHalfOpen: true,
    noDelay: true,
  })
  server.maxHeadersCount = limits.maxHeaders

  // node's one listener begins TLS; a connection over its bounds must not cost even that.
  const [beginTls] = server.listeners('connection')
  server.removeAllListeners('connection')
  const onConnection = (socket: Socket): void => {
    const refusal = accepted.add(socket, generation)
    if (refusal === undefined) {
      socket.setKeepAlive(true, ...KEEP_ALIVE)
      beginTls?.call(server, socket)
      return
    }
    refused(refusal, socket.remoteAddress ?? '')
    socket.destroy()
  }
  server.on(
    'connection',
    guarded(effects, onConnection, (socket) => socket),
  )
  const onTlsClientError = (error: Error, socket: TLSSocket): void => {
    metrics.connectionsRefused.inc({ reason: 'handshake' })
    log.debug({ err: error, address: socket.remoteAddress }, 'TLS handshake failed')
    socket.destroy()
  }
  server.on(
    'tlsClientError',
    guarded(effects, onTlsClientError, (_error, socket) => socket),
  )

  const serveHttp1 = attachHttp1(server, effects)
  // The only listener so far is the HTTP/1.1 one of node:https; it goes on serving what is no h2.
  const [http1Listener] = server.listeners('secureConnection')
  server.removeAllListeners('secureConnection')
  const onSecureConnection = (socket: TLSSocket): void => {
    const isHttp2 = socket.alpnProtocol === 'h2'
    accepted.handshakeDone(socket, chainBytes(socket))
    if (socket.destroyed) return
    const judgedBy = accepted.generationOf(socket)
    const entry: LiveConnection = {
      socket,
      connection: describeConnection(socket, judgedBy, tls, () => entry.served?.retire()),
      served: undefined,
    }
    const key = socketKey(socket)
    live.set(key, entry)
    const protocol = isHttp2 ? 'h2' : 'http/1.1'
    metrics.connections.inc({ protocol })
    const onClose = (): void => {
      if (live.get(key) === entry) live.delete(key)
      metrics.connections.dec({ protocol })
    }
    const ofSocket = createGuard(effects, socket)
    socket.once('close', ofSocket(onClose))
    const onError = ofSocket((error: Error) =>
      log.trace({ err: error }, 'client connection failed'),
    )
    socket.on('error', onError)
    if (isHttp2) {
      // Half-open is for tunnels. Here node would wait for a session that nobody reads any more, and
      // its watches with it; a server of Go's ends it as well.
      socket.once('end', () => socket.destroy())
      const session: ServerHttp2Session = performServerHandshake(socket, sessionOptions(limits))
      entry.served = serveHttp2(session, socket, entry.connection, limits, effects)
    } else {
      entry.served = serveHttp1(socket, entry.connection)
      http1Listener?.call(server, socket)
    }
  }
  server.on(
    'secureConnection',
    guarded(effects, onSecureConnection, (socket) => socket),
  )

  await listen(server, options.port, options.address)
  const bound = server.address() as AddressInfo

  // node's own timer starts again with every byte, empty lines between requests among them.
  const longestIdle = limits.idleTimeout + limits.headerTimeout
  const sweep = setInterval(() => {
    for (const { socket, served } of live.values()) {
      const since = served?.idleSince() ?? Infinity
      if (performance.now() - since > longestIdle) socket.destroy()
    }
  }, limits.headerTimeout).unref()

  return {
    address: { host: bound.address, port: bound.port },
    generation: () => generation,
    updateTls(next, trustChanged) {
      server.setSecureContext(next.options)
      tls = next
      if (!trustChanged) return
      generation += 1
      for (const { connection } of live.values()) {
        if (connection.peerCertificate !== undefined) connection.retire()
      }
    },
    drain() {
      server.close()
      for (const { connection } of live.values()) connection.retire()
    },
    async destroy() {
      clearInterval(sweep)
      const gone = [...live.values()].map(
        ({ socket }) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      )
      for (const { socket } of live.values()) socket.destroy()
      await Promise.all(gone)
    },
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

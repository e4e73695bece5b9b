/** The second part of a connection: from the end of the TLS handshake to HTTP/1.1 or HTTP/2. */
import { performServerHandshake } from 'node:http2'
import type { Server } from 'node:https'
import type { TLSSocket } from 'node:tls'

import { socketKey, type AcceptedSockets } from './accepted-sockets.ts'
import { chainBytes, describeConnection } from './client-connection.ts'
import { createGuard, guarded } from './exception-guard.ts'
import { attachHttp1 } from './http1-server.ts'
import { serveHttp2, sessionOptions, type Http2Limits } from './http2-server.ts'
import type { LiveConnection, LiveConnections } from './live-connections.ts'
import type { ListenerEffects, ServedConnection } from './served-connection.ts'
import type { ListenerTls } from './tls.ts'

export interface SecureConnectionsOptions {
  readonly limits: Http2Limits
  readonly accepted: AcceptedSockets
  readonly live: LiveConnections
  /** The TLS configuration currently in effect. */
  readonly tls: () => ListenerTls
}

/** Serves each connection by the protocol that ALPN selected, and keeps it in `live` until it closes. */
export function serveSecureConnections(
  server: Server,
  { limits, accepted, live, tls }: SecureConnectionsOptions,
  effects: ListenerEffects,
): void {
  const serveHttp1 = attachHttp1(server, limits, effects)
  // The only listener so far is the HTTP/1.1 one of node:https, which keeps serving everything but h2.
  const [http1Listener] = server.listeners('secureConnection')
  server.removeAllListeners('secureConnection')

  const serve = (socket: TLSSocket, { connection }: LiveConnection): ServedConnection => {
    if (socket.alpnProtocol !== 'h2') return serveHttp1(socket, connection)
    // Half-open is for tunnels. Here node would wait for a session that is no longer read, and so
    // would its watches; Go's HTTP/2 server ends the session as well.
    socket.once('end', () => socket.destroy())
    const session = performServerHandshake(socket, sessionOptions(limits))
    return serveHttp2({ session, socket, connection, limits }, effects)
  }

  const onSecureConnection = (socket: TLSSocket): void => {
    accepted.handshakeDone(socket, chainBytes(socket))
    if (socket.destroyed) return
    const facts = accepted.factsOf(socket)
    const entry: LiveConnection = {
      socket,
      connection: describeConnection(socket, facts, tls(), () => entry.served?.retire()),
      served: undefined,
    }
    track(socket, entry, live, effects)
    entry.served = serve(socket, entry)
    if (socket.alpnProtocol !== 'h2') http1Listener?.call(server, socket)
  }
  server.on(
    'secureConnection',
    guarded(onSecureConnection, (socket) => socket, effects),
  )
}

/** Keeps the connection in `live` and in the metric until it closes. */
function track(
  socket: TLSSocket,
  entry: LiveConnection,
  live: LiveConnections,
  effects: ListenerEffects,
): void {
  const { log, metrics } = effects
  const key = socketKey(socket)
  const labels = { protocol: socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1' }
  const guard = createGuard(socket, effects)
  live.add(key, entry)
  metrics.connections.inc(labels)
  const onClose = guard(() => {
    live.remove(key, entry)
    metrics.connections.dec(labels)
  })
  socket.once('close', onClose)
  const onError = guard((error: Error) => log.trace({ err: error }, 'client connection failed'))
  socket.on('error', onError)
}

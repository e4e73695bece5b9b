/** The first part of a connection: from TCP accept to the end of the TLS handshake. */
import { createServer, type Server, type ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import type { SecureContext, TLSSocket } from 'node:tls'

import type { ClientConnection } from '../http/exchange.ts'
import type { AcceptedSockets, AcceptRefusal } from './accepted-sockets.ts'
import { peerOf, type ClientAddress } from './client-connection.ts'
import { createGuard, guarded } from './exception-guard.ts'
import { readFirstBytes } from './first-bytes.ts'
import { isPlainHttp, PLAIN_HTTP_MESSAGE, refusePlainHttp } from './plain-http.ts'
import { decideProxyHeader } from './proxy-protocol.ts'
import type { ListenerEffects } from './served-connection.ts'
import type { ListenerTls } from './tls.ts'

/** Limits that `node:https` enforces. */
export interface ServerLimits {
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  /** Milliseconds from the first byte of a connection or a request to the end of its header. */
  readonly headerTimeout: number
  /** Milliseconds that a connection without a request may stay open. */
  readonly idleTimeout: number
  /** Milliseconds that a TLS handshake may take. */
  readonly handshakeTimeout: number
}

export interface TlsServerOptions {
  readonly limits: ServerLimits
  readonly http2: boolean
  readonly requestClientCertificate: boolean
  /** The TLS configuration currently in effect. */
  readonly tls: () => ListenerTls
}

/**
 * TCP keep-alive for HTTP/1.1 and tunnels: milliseconds of silence before the first probe and between
 * probes, and how many may go unacknowledged. The kernel's default first probe comes after two hours.
 */
const KEEP_ALIVE = [60_000, 15_000, 9] as const

/** Creates the server, which does not listen yet. */
export function createTlsServer(options: TlsServerOptions): Server {
  const server = createServer(serverOptions(options))
  setDefaultContext(server, options.tls().context)
  server.maxHeadersCount = options.limits.maxHeaders
  return server
}

/**
 * Makes the server use this context for clients without a server name, such as those that dial an
 * address; `SNICallback` is not called for them. `createServer` and `setSecureContext` ignore
 * `allowPartialTrustChain` (Node 26), so the context itself is set, where Node keeps its own.
 *
 * @throws Error if this version of Node keeps it elsewhere: clients would be judged by other rules
 */
export function setDefaultContext(server: Server, context: SecureContext): void {
  const holder = server as Server & { _sharedCreds?: SecureContext }
  if (holder._sharedCreds === undefined) {
    throw new Error('this version of Node has no default TLS context that can be set')
  }
  holder._sharedCreds = context
}

function serverOptions(options: TlsServerOptions): ServerOptions {
  const { limits, http2, requestClientCertificate, tls } = options
  return {
    ALPNProtocols: http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
    SNICallback(this: TLSSocket, serverName, callback) {
      const current = tls()
      if (requestClientCertificate && !current.requestsCertificate(serverName)) {
        doNotRequestCertificate(this)
      }
      callback(null, current.contextFor(serverName))
    },
    requestCert: requestClientCertificate,
    // The authenticator verifies certificates: an invalid one is a 401 Status, not a TLS alert.
    rejectUnauthorized: false,
    handshakeTimeout: limits.handshakeTimeout,
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headerTimeout,
    keepAliveTimeout: limits.idleTimeout,
    keepAliveTimeoutBuffer: 0,
    connectionsCheckingInterval: Math.max(100, Math.min(limits.headerTimeout / 2, 5_000)),
    // A body may take long: the API server ends requests that are not streams after a minute.
    requestTimeout: 0,
    // Checked with the rest of the framing: node's own response is not a Status and leaves no record.
    requireHostHeader: false,
    optimizeEmptyRequests: true,
    allowHalfOpen: true,
    noDelay: true,
  }
}

/**
 * Makes a handshake that has not sent its CertificateRequest yet continue without one. `requestCert`
 * is an option of the whole server, and `SNICallback` can only choose the context, so this is done as
 * Node itself does it, on the socket that it calls `SNICallback` on.
 *
 * @throws Error, which ends the handshake, if this version of Node does it differently
 */
function doNotRequestCertificate(socket: TLSSocket): void {
  const internals = socket as TLSSocket & {
    _requestCert?: boolean
    _handle?: { setVerifyMode?: (requestCert: boolean, rejectUnauthorized: boolean) => void }
  }
  if (internals._requestCert === undefined || internals._handle?.setVerifyMode === undefined) {
    throw new Error('this version of Node cannot leave the client certificate out of one handshake')
  }
  internals._handle.setVerifyMode(false, false)
  internals._requestCert = false
}

export interface AcceptOptions {
  readonly accepted: AcceptedSockets
  /** The current generation of the client CA. */
  readonly generation: () => number
  /** Counts and logs a connection that is refused. */
  readonly refused: (reason: AcceptRefusal, address: string) => void
  /** Milliseconds that a client may take to send the first bytes of its TLS handshake. */
  readonly handshakeTimeout: number
  /** Whether connections from this address begin with a PROXY protocol header. */
  readonly isTrustedProxy: (address: string) => boolean
}

/** Connections whose PROXY protocol header has not arrived; a load balancer sends it at once. */
const MAX_UNREAD_HEADERS = 1_024

/** Checks the connection limits before TLS begins, and handles handshakes that fail. */
export function acceptConnections(
  server: Server,
  { accepted, generation, refused, handshakeTimeout: timeout, isTrustedProxy }: AcceptOptions,
  effects: ListenerEffects,
): void {
  // node's only listener begins TLS; a connection beyond the limits must not cost even that.
  const [beginTls] = server.listeners('connection')
  server.removeAllListeners('connection')
  const count = (reason: string): void => effects.metrics.connectionsRefused.inc({ reason })

  const onConnection = (socket: Socket): void => {
    if (isTrustedProxy(peerOf(socket).address)) readProxyHeader(socket)
    else accept(socket, peerOf(socket))
  }

  /** The limits need the client's address, so until the header has been read only this one applies. */
  const unread = new Set<Socket>()
  const readProxyHeader = (socket: Socket): void => {
    unread.add(socket)
    socket.once('close', () => unread.delete(socket))
    const refuse = (problem: string): void => {
      count('proxy_protocol')
      effects.log.debug(
        { address: peerOf(socket).address, problem },
        'PROXY protocol header refused',
      )
      socket.destroy()
    }
    const [oldest] = unread
    if (unread.size > MAX_UNREAD_HEADERS && oldest !== undefined) {
      count('proxy_protocol')
      oldest.destroy()
    }
    readFirstBytes(
      { socket, timeout, decide: decideProxyHeader },
      {
        guard: createGuard(socket, effects),
        onDecided(header) {
          unread.delete(socket)
          if ('problem' in header) refuse(header.problem)
          else accept(socket, header.client ?? peerOf(socket))
        },
        onTimeout: () => count('proxy_protocol'),
      },
    )
  }

  const accept = (socket: Socket, client: ClientAddress): void => {
    const refusal = accepted.add(socket, generation(), client)
    if (refusal !== undefined) {
      refused(refusal, client.address)
      socket.destroy()
      return
    }
    socket.setKeepAlive(true, ...KEEP_ALIVE)
    const decide = (bytes: Buffer) => {
      const value = isPlainHttp(bytes)
      return value === undefined ? undefined : { value, consumed: 0 }
    }
    readFirstBytes(
      { socket, timeout, decide },
      {
        guard: createGuard(socket, effects),
        onDecided(isPlain) {
          if (isPlain) refusePlain(socket, client)
          else beginTls?.call(server, socket)
        },
        onTimeout: () => count('handshake'),
      },
    )
  }

  const refusePlain = (socket: Socket, client: ClientAddress): void => {
    count('plain_http')
    accepted.handshakeDone(socket, 0)
    effects.onMalformed(plainConnection(client), 400, PLAIN_HTTP_MESSAGE)
    socket.on('error', () => socket.destroy())
    refusePlainHttp(socket)
  }
  server.on(
    'connection',
    guarded(onConnection, (socket) => socket, effects),
  )

  const onTlsClientError = (error: Error & { code?: string }, socket: TLSSocket): void => {
    const hasLeft = error.code === 'ECONNRESET' || error.code === 'EPIPE'
    if (!hasLeft) count('handshake')
    effects.log.debug({ err: error, address: peerOf(socket).address }, 'TLS handshake failed')
    socket.destroy()
  }
  server.on(
    'tlsClientError',
    guarded(onTlsClientError, (_error, socket) => socket, effects),
  )
}

function plainConnection({ address, port }: ClientAddress): ClientConnection {
  return {
    remoteAddress: address,
    remotePort: port,
    peerCertificate: undefined,
    retire: () => undefined,
  }
}

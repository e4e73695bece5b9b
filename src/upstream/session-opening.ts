/** Opens HTTP/2 sessions to the API server and detects dead ones. */
import { connect, type ClientHttp2Session } from 'node:http2'
import type { TLSSocket } from 'node:tls'

import { connectTls } from '../cluster/connect.ts'
import type { ConnectionLimits, UpstreamEndpoint } from '../cluster/endpoint.ts'
import type { Log } from '../log.ts'
import { neverConnected } from './errors.ts'
import { MAX_RESPONSE_HEAD } from './transport.ts'

/** Streams per session; Go's server allows 100 or 250. */
export const MAX_STREAMS = 100
/** Flow-control window per stream, in bytes; the session's window is the sum, so no stream blocks another. */
const STREAM_WINDOW = 131_072
/** As client-go's transport: a PING after this much silence, and the timeout for its acknowledgement. */
const PING_INTERVAL_MS = 30_000
const PING_TIMEOUT_MS = 15_000

export interface SessionOptions {
  readonly endpoint: UpstreamEndpoint
  readonly limits: ConnectionLimits
}

export interface SessionEffects {
  readonly log: Log
}

/**
 * Connects and waits for the API server's SETTINGS.
 *
 * @returns undefined when the API server chose HTTP/1.1; a returned session may have closed already
 * @throws Error of the connection, the TLS handshake or the session
 */
export async function openSession(
  options: SessionOptions,
  effects: SessionEffects,
): Promise<ClientHttp2Session | undefined> {
  const { endpoint, limits } = options
  const socket = connectTls(endpoint, limits, { protocols: ['h2', 'http/1.1'] })
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', (error) => reject(neverConnected(error)))
    socket.once('close', () => reject(neverConnected(connectionClosed())))
  })
  if (socket.alpnProtocol === 'h2') return begin(socket, options, effects)
  socket.destroy()
  return undefined
}

function begin(
  socket: TLSSocket,
  { endpoint, limits }: SessionOptions,
  { log }: SessionEffects,
): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(`https://${endpoint.host}`, {
      createConnection: () => socket,
      maxHeaderListPairs: 256,
      maxSessionMemory: 64,
      settings: {
        enablePush: false,
        initialWindowSize: STREAM_WINDOW,
        maxHeaderListSize: MAX_RESPONSE_HEAD,
      },
    })
    const timer = setTimeout(() => {
      session.destroy(Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' }))
    }, limits.connectTimeout)
    // Never removed: the packet with SETTINGS may carry an error as well.
    session.on('error', (error) => {
      log.debug({ err: error }, 'HTTP/2 session to the API server failed')
      reject(error)
    })
    session.once('remoteSettings', () => {
      clearTimeout(timer)
      if (!session.destroyed) {
        session.setLocalWindowSize(STREAM_WINDOW * MAX_STREAMS)
        session.unref()
        keepAlive(session)
      }
      resolve(session)
    })
    session.once('close', () => {
      clearTimeout(timer)
      reject(connectionClosed())
    })
  })
}

function connectionClosed(): Error {
  return Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' })
}

/** PINGs a silent session, so that a dead peer is detected even when all watches are silent. */
function keepAlive(session: ClientHttp2Session): void {
  const interval = setInterval(() => {
    // A destroyed session that has not emitted `close` yet throws on a PING.
    if (session.destroyed) return
    const timeout = setTimeout(
      () => session.destroy(new Error('PING was not acknowledged')),
      PING_TIMEOUT_MS,
    )
    timeout.unref()
    const sent = session.ping(() => clearTimeout(timeout))
    if (!sent) clearTimeout(timeout)
  }, PING_INTERVAL_MS)
  interval.unref()
  session.once('close', () => clearInterval(interval))
}

/** HTTP/2 on the listener: the streams of a session, its idle timeout and its end. */
import type {
  IncomingHttpHeaders,
  performServerHandshake,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2'

import type { ClientConnection } from '../http/exchange.ts'
import { writeRefusal } from '../http/refusal.ts'
import { createGuard } from './exception-guard.ts'
import { headerTooLarge } from './header-too-large.ts'
import { createHttp2Exchange, type Http2Exchange } from './http2-exchange.ts'
import { watchLiveness, type LiveSocket } from './http2-liveness.ts'
import type { ListenerEffects, ServedConnection } from './served-connection.ts'

export interface Http2Limits {
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  readonly maxConcurrentStreams: number
  /** Milliseconds. */
  readonly headerTimeout: number
  readonly idleTimeout: number
  /** Milliseconds between checks whether a silent client is still connected; 15 seconds by default. */
  readonly livenessInterval?: number
}

/** As long as Go's HTTP/2 waits for the response to PING. */
const LIVENESS_INTERVAL_MS = 15_000

type StreamArguments = readonly [
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
]

/** RFC 9113 section 6.5.2: what a field counts in addition to its name and value. */
const FIELD_OVERHEAD = 32

/**
 * How far a header may exceed the limits and still get a 431: beyond, node resets the stream before
 * anyone sees the request, and the client has nothing to read. nghttp2 allows eight CONTINUATION frames,
 * so that a header block has at most 147 kB. It ends the session for a field of more than 64 KiB
 * (NGHTTP2_HD_MAX_NV, no option of node changes it): node reports that only once the session is destroyed and
 * GOAWAY with COMPRESSION_ERROR is sent, so no response and no debug data can be added to it.
 */
const MIN_REFUSABLE_BYTES = 131_072
const MIN_REFUSABLE_FIELDS = 500

/** Limits of nghttp2: CVE-2023-44487, CVE-2023-45288, CVE-2019-9512/9514/9515/9516. */
export function sessionOptions(
  limits: Http2Limits,
): NonNullable<Parameters<typeof performServerHandshake>[1]> {
  return {
    settings: {
      maxConcurrentStreams: limits.maxConcurrentStreams,
      maxHeaderListSize: 2 * limits.maxHeaderBytes + MIN_REFUSABLE_BYTES,
      initialWindowSize: 262_144,
      enablePush: false,
      enableConnectProtocol: false,
    },
    maxHeaderListPairs: limits.maxHeaders + MIN_REFUSABLE_FIELDS,
    maxOutstandingPings: 10,
    maxSettings: 32,
    maxSessionInvalidFrames: 20,
    maxSessionRejectedStreams: 100,
    maxSessionMemory: 16,
    streamResetBurst: 1_000,
    streamResetRate: 33,
  }
}

export interface Http2SessionOptions {
  readonly session: ServerHttp2Session
  /** The TLS socket of the session. */
  readonly socket: LiveSocket
  readonly connection: ClientConnection
  readonly limits: Http2Limits
}

/** Serves a session. When it is retired it sends GOAWAY, and open streams run to their end. */
export function serveHttp2(
  { session, socket, connection, limits }: Http2SessionOptions,
  effects: ListenerEffects,
): ServedConnection {
  const { log, metrics, handle, onMalformed } = effects
  const guard = createGuard(session, effects)
  let open = 0
  /** How many of the open streams have an authenticated user. */
  let authenticated = 0
  /** `bytesRead` of the socket when no stream was open last, or when a user's stream closed. */
  let readBefore = 0
  const onAuthenticated = (): void => {
    authenticated += 1
  }
  const onError = guard((error: Error & { readonly code?: string }) => {
    if (isRefusal(error)) metrics.connectionsRefused.inc({ reason: 'http2' })
    log.debug({ err: error, address: connection.remoteAddress }, 'HTTP/2 session failed')
  })
  session.on('error', onError)
  const interval = limits.livenessInterval ?? LIVENESS_INTERVAL_MS
  watchLiveness({ session, socket, guard, isBusy: () => open > 0, interval })
  // node restarts this timer with every frame; a session with an open but silent watch is not idle.
  let silent = false
  session.setTimeout(limits.idleTimeout)
  const onTimeout = guard(() => {
    silent = true
    if (open === 0) session.close()
  })
  session.on('timeout', onTimeout)
  const first = setTimeout(() => session.destroy(), limits.headerTimeout)
  first.unref()
  session.once('close', () => clearTimeout(first))

  const onStreamError = (error: Error): void => {
    log.trace({ err: error }, 'HTTP/2 stream failed')
  }

  const onClosed = ({ isAuthenticated }: Http2Exchange): void => {
    open -= 1
    if (isAuthenticated) authenticated -= 1
    if (open === 0 || isAuthenticated) readBefore = socket.bytesRead
    // The end of a watch is not a frame that would restart the timer once it has expired.
    if (open === 0 && silent) session.setTimeout(limits.idleTimeout)
  }

  const onStream = guard<StreamArguments>((stream, headers, _flags, rawHeaders) => {
    clearTimeout(first)
    open += 1
    stream.on('error', onStreamError)
    const parts = { stream, headers, rawHeaders, connection, guard, onAuthenticated, onClosed }
    const exchange = createHttp2Exchange(parts)
    if (stream.destroyed) return
    if (fitsLimits(rawHeaders, limits)) handle(exchange)
    else {
      onMalformed(connection, HEADERS_TOO_LARGE.code, HEADERS_TOO_LARGE.message)
      writeRefusal(exchange, HEADERS_TOO_LARGE, [])
    }
  })
  session.on('stream', onStream)
  return {
    retire() {
      if (!session.closed) session.close()
    },
    isIdle: () => authenticated === 0,
    idleSince: () => undefined,
    unauthenticatedBytes: () => (authenticated > 0 ? 0 : socket.bytesRead - readBefore),
  }
}

/**
 * Whether Gatehouse ended the session: for what nghttp2 rejects, and without a code for silence. The
 * client ended it with a reset of TCP (`ECONNRESET`), or with GOAWAY and an error code.
 */
function isRefusal({ code }: { readonly code?: string }): boolean {
  if (code === undefined) return true
  return code.startsWith('ERR_HTTP2_') && code !== 'ERR_HTTP2_SESSION_ERROR'
}

const HEADERS_TOO_LARGE = headerTooLarge()

function fitsLimits(rawHeaders: readonly string[], limits: Http2Limits): boolean {
  const fields = rawHeaders.length / 2
  if (fields > limits.maxHeaders) return false
  let size = fields * FIELD_OVERHEAD
  for (const part of rawHeaders) size += part.length
  return size <= limits.maxHeaderBytes
}

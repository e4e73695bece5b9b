/**
 * Watches and other long reads over a few HTTP/2 sessions: a stream costs a fraction of what a TLS
 * connection of its own does. Only requests without a body come this way.
 */
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'

import type { Log } from '../log.ts'
import type {
  AnswerReceiver,
  ConnectionLimits,
  Transport,
  UpstreamEndpoint,
  UpstreamRequest,
} from './transport.ts'
import { tlsOptions } from './tls-options.ts'

/** Streams a session at most, below what Go's server grants (100 or 250). */
const MAX_STREAMS = 100
/** Flow-control window a stream; the session's window holds all of them, so none blocks another. */
const STREAM_WINDOW = 131_072
/** As client-go's transport: a PING after this much silence, and how long its answer may take. */
const PING_INTERVAL_MS = 30_000
const PING_TIMEOUT_MS = 15_000
/** As the pool's. */
const MAX_ANSWER_HEAD = 49_152

export interface SessionsOptions {
  readonly endpoint: UpstreamEndpoint
  readonly limits: ConnectionLimits
  readonly log: Log
  /** Takes over when the API server's side does not speak HTTP/2. */
  readonly fallback: Transport
}

interface Session {
  readonly session: ClientHttp2Session
  /** Streams open or about to be. */
  streams: number
}

/** Makes the transport; sessions open when needed and end when idle. */
export function createSessionsTransport(options: SessionsOptions): Transport {
  const { endpoint, limits, log, fallback } = options
  const sessions = new Set<Session>()
  let opening: Promise<Session | undefined> | undefined
  let closed = false
  let http1Only = false

  function open(): Promise<Session | undefined> {
    opening ??= openSession(endpoint, limits)
      .then((session) => {
        if (session === undefined) {
          http1Only = true
          log.info('the API server does not speak HTTP/2; watches use a connection each')
          return undefined
        }
        return adopt(session)
      })
      .finally(() => {
        opening = undefined
      })
    return opening
  }

  function adopt(session: ClientHttp2Session): Session {
    const entry: Session = { session, streams: 0 }
    const gone = (): boolean => sessions.delete(entry)
    const stopPings = keepAlive(session)
    session.on('goaway', gone)
    session.on('error', (error) => {
      gone()
      log.debug({ err: error }, 'HTTP/2 session to the API server failed')
    })
    session.once('close', () => {
      gone()
      stopPings()
    })
    session.setTimeout(limits.idleTimeout, () => {
      if (entry.streams === 0) session.close()
    })
    sessions.add(entry)
    return entry
  }

  /** A session with room, reserved for one stream; undefined: HTTP/1.1 only. */
  async function reserve(): Promise<Session | undefined> {
    for (;;) {
      for (const entry of sessions) {
        const granted = entry.session.remoteSettings.maxConcurrentStreams ?? MAX_STREAMS
        if (!entry.session.closed && entry.streams < Math.min(granted, MAX_STREAMS)) {
          entry.streams += 1
          return entry
        }
      }
      const opened = await open()
      if (opened === undefined) return undefined
    }
  }

  return {
    send(request, receiver) {
      if (http1Only) {
        fallback.send(request, receiver)
        return
      }
      void reserve().then(
        (entry) => {
          if (entry === undefined) fallback.send(request, receiver)
          else sendOver(entry, request, receiver, true)
        },
        (error: unknown) => receiver.onError(error as Error),
      )
    },
    async close() {
      closed = true
      await Promise.all(
        [...sessions].map(
          ({ session }) => new Promise<void>((resolve) => session.close(() => resolve())),
        ),
      )
    },
    async destroy() {
      closed = true
      for (const { session } of sessions) session.destroy()
      await Promise.resolve()
    },
  }

  function sendOver(
    entry: Session,
    request: UpstreamRequest,
    receiver: AnswerReceiver,
    mayRepeat: boolean,
  ): void {
    const release = (): void => {
      entry.streams -= 1
    }
    let stream: ClientHttp2Stream
    try {
      stream = entry.session.request(
        [
          ':method',
          request.method,
          ':scheme',
          'https',
          ':authority',
          endpoint.host,
          ':path',
          request.path,
          ...withoutHost(request.headers),
        ],
        { endStream: true },
      )
    } catch (error) {
      release()
      receiver.onError(error as Error)
      return
    }
    stream.once('close', release)
    relayStream(stream, receiver, () => {
      // RFC 9113 section 8.7: refused means not processed, so asking again is safe; once.
      if (!mayRepeat || closed) return false
      void reserve().then(
        (next) => {
          if (next === undefined) fallback.send(request, receiver)
          else sendOver(next, request, receiver, false)
        },
        (error: unknown) => receiver.onError(error as Error),
      )
      return true
    })
  }
}

/** Connects; undefined when the server chose HTTP/1.1. */
function openSession(
  endpoint: UpstreamEndpoint,
  limits: ConnectionLimits,
): Promise<ClientHttp2Session | undefined> {
  return new Promise((resolve, reject) => {
    const session = connect(`https://${endpoint.host}`, {
      ...tlsOptions(endpoint.tls),
      ALPNProtocols: ['h2', 'http/1.1'],
      maxHeaderListPairs: 256,
      maxSessionMemory: 64,
      settings: {
        enablePush: false,
        initialWindowSize: STREAM_WINDOW,
        maxHeaderListSize: MAX_ANSWER_HEAD,
      },
    })
    const timer = setTimeout(() => {
      session.destroy(Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' }))
    }, limits.connectTimeout)
    const failed = (error: Error & { code?: string }): void => {
      clearTimeout(timer)
      session.destroy()
      // node's word for "ALPN gave something else than h2".
      if (error.code === 'ERR_HTTP2_ERROR' && session.alpnProtocol !== 'h2') resolve(undefined)
      else reject(error)
    }
    session.once('error', failed)
    session.once('remoteSettings', () => {
      clearTimeout(timer)
      session.off('error', failed)
      session.setLocalWindowSize(STREAM_WINDOW * MAX_STREAMS)
      session.unref()
      resolve(session)
    })
    session.once('close', () => {
      clearTimeout(timer)
      reject(Object.assign(new Error('the session was closed'), { code: 'ECONNRESET' }))
    })
  })
}

/** PINGs a silent session, so that a dead peer is noticed though watches are quiet. */
function keepAlive(session: ClientHttp2Session): () => void {
  const interval = setInterval(() => {
    const late = setTimeout(() => session.destroy(new Error('no answer to PING')), PING_TIMEOUT_MS)
    late.unref()
    const sent = session.ping(() => clearTimeout(late))
    if (!sent) clearTimeout(late)
  }, PING_INTERVAL_MS)
  interval.unref()
  return () => clearInterval(interval)
}

/** @param onRefused true when the request was taken care of in another way */
function relayStream(
  stream: ClientHttp2Stream,
  receiver: AnswerReceiver,
  onRefused: () => boolean,
): void {
  let headSeen = false
  let over = false
  let ended = false
  let failure: Error | undefined

  const guarded = (step: () => void): void => {
    try {
      step()
    } catch (error) {
      failure = error as Error
      stream.close(constants.NGHTTP2_CANCEL)
    }
  }

  receiver.onStart({
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    abort: (reason) => {
      failure = reason
      stream.close(constants.NGHTTP2_CANCEL)
    },
  })
  stream.on('headers', (headers) => {
    guarded(() => receiver.onHead(headers[':status'] ?? 100, headers))
  })
  stream.on('response', (headers) => {
    headSeen = true
    guarded(() => receiver.onHead(headers[':status'] ?? 0, headers))
  })
  stream.on('data', (chunk: Buffer) => {
    if (failure === undefined) guarded(() => receiver.onData(chunk))
  })
  stream.on('end', () => {
    ended = true
  })
  stream.on('error', (error) => {
    failure ??= error
  })
  stream.on('close', () => {
    if (over) return
    over = true
    const code = stream.rstCode
    if (!headSeen && code === constants.NGHTTP2_REFUSED_STREAM && onRefused()) return
    if (failure === undefined && ended && headSeen && code === constants.NGHTTP2_NO_ERROR) {
      receiver.onEnd()
      return
    }
    receiver.onError(
      failure ?? Object.assign(new Error('the stream was reset'), { code: 'ECONNRESET' }),
    )
  })
}

function withoutHost(headers: readonly string[]): readonly string[] {
  return headers[0] === 'host' ? headers.slice(2) : headers
}

/**
 * Watches and other long reads over a few HTTP/2 sessions: a stream costs a fraction of a TLS
 * connection. Only requests without a body use this transport.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'

import type { ConnectionLimits, UpstreamEndpoint } from '../cluster/endpoint.ts'
import { MAX_STREAMS, openSession, type SessionEffects } from './session-opening.ts'
import { relayStream } from './session-stream.ts'
import type { ResponseReceiver, Transport, UpstreamRequest } from './transport.ts'

export interface SessionsOptions {
  readonly endpoint: UpstreamEndpoint
  readonly limits: ConnectionLimits
  /** Used when the API server does not speak HTTP/2, or refuses streams. */
  readonly fallback: Transport
}

interface Session {
  readonly session: ClientHttp2Session
  /** Open and reserved streams. */
  streams: number
}

/** Creates the transport; sessions open on demand and close when idle. */
export function createSessionsTransport(
  options: SessionsOptions,
  effects: SessionEffects,
): Transport {
  const { endpoint, limits, fallback } = options
  const { log } = effects
  const sessions = new Set<Session>()
  let opening: Promise<Session | undefined> | undefined
  let closed = false
  let http1Only = false

  function open(): Promise<Session | undefined> {
    opening ??= openSession({ endpoint, limits }, effects)
      .then((session) => {
        if (session !== undefined) return adopt(session)
        http1Only = true
        log.info('the API server does not support HTTP/2; each watch uses its own connection')
        return undefined
      })
      .finally(() => {
        opening = undefined
      })
    return opening
  }

  function adopt(session: ClientHttp2Session): Session {
    const entry: Session = { session, streams: 0 }
    if (session.closed || session.destroyed) return entry
    const remove = (): boolean => sessions.delete(entry)
    session.on('goaway', remove)
    session.on('error', remove)
    session.once('close', remove)
    session.setTimeout(limits.idleTimeout, () => {
      if (entry.streams === 0) session.close()
    })
    sessions.add(entry)
    // `close` ran while this session was opening.
    if (closed) session.close()
    return entry
  }

  /** Reserves a stream on a session with room; undefined when only the fallback is left. */
  async function reserve(): Promise<Session | undefined> {
    for (;;) {
      for (const entry of sessions) {
        if (hasRoom(entry)) {
          entry.streams += 1
          return entry
        }
      }
      const opened = await open()
      if (opened === undefined) return undefined
      // Other waiting requests may have filled it. If it allows no streams from the start, neither will
      // the next one.
      if (opened.streams === 0 && !hasRoom(opened)) {
        log.debug('a new HTTP/2 session to the API server does not allow streams')
        return undefined
      }
    }
  }

  function send(request: UpstreamRequest, receiver: ResponseReceiver, refusals: number): void {
    reserve()
      .then((entry) => {
        if (entry === undefined) fallback.send(request, receiver)
        else sendOver(entry, request, receiver, refusals)
      })
      .catch((error: unknown) => receiver.onError(error as Error))
  }

  function sendOver(
    entry: Session,
    request: UpstreamRequest,
    receiver: ResponseReceiver,
    refusals: number,
  ): void {
    let stream: ClientHttp2Stream
    try {
      stream = entry.session.request(requestHead(endpoint, request), { endStream: true })
    } catch (error) {
      entry.streams -= 1
      throw error
    }
    stream.once('close', () => {
      entry.streams -= 1
    })
    relayStream(stream, receiver, () => {
      if (closed) return false
      if (refusals === 0) send(request, receiver, 1)
      else fallback.send(request, receiver)
      return true
    })
  }

  return {
    send(request, receiver) {
      if (http1Only || !fitsHttp2(request)) fallback.send(request, receiver)
      else send(request, receiver, 0)
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
}

function hasRoom({ session, streams }: Session): boolean {
  const granted = session.remoteSettings.maxConcurrentStreams ?? MAX_STREAMS
  return !session.closed && !session.destroyed && streams < Math.min(granted, MAX_STREAMS)
}

/** nghttp2 sends at most 64 KiB of header fields, in which its own estimate of their overhead counts. */
const MAX_SENT_HEAD = 49_152

function fitsHttp2({ path, headers }: UpstreamRequest): boolean {
  let size = path.length
  for (const part of headers) size += part.length
  return size <= MAX_SENT_HEAD
}

function requestHead(endpoint: UpstreamEndpoint, request: UpstreamRequest): string[] {
  return [
    ':method',
    request.method,
    ':scheme',
    'https',
    ':authority',
    endpoint.host,
    ':path',
    request.path,
    ...withoutHost(request.headers),
  ]
}

function withoutHost(headers: readonly string[]): readonly string[] {
  return headers[0] === 'host' ? headers.slice(2) : headers
}

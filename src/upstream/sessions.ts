/**
 * Watches and other long reads over a few HTTP/2 sessions: a stream costs a fraction of what a TLS
 * connection of its own does. Only requests without a body come this way.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'

import type { ConnectionLimits, UpstreamEndpoint } from '../cluster/endpoint.ts'
import type { Log } from '../log.ts'
import { MAX_STREAMS, openSession } from './session-opening.ts'
import { relayStream } from './session-stream.ts'
import type { ResponseReceiver, Transport, UpstreamRequest } from './transport.ts'

export interface SessionsOptions {
  readonly endpoint: UpstreamEndpoint
  readonly limits: ConnectionLimits
  readonly log: Log
  /** Takes over where the API server's side does not speak HTTP/2, or takes no stream. */
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
    opening ??= openSession({ endpoint, limits, log })
      .then((session) => {
        if (session !== undefined) return adopt(session)
        http1Only = true
        log.info('the API server does not speak HTTP/2; watches use a connection each')
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
    const gone = (): boolean => sessions.delete(entry)
    session.on('goaway', gone)
    session.on('error', gone)
    session.once('close', gone)
    session.setTimeout(limits.idleTimeout, () => {
      if (entry.streams === 0) session.close()
    })
    sessions.add(entry)
    // Whoever shuts down has not seen this one.
    if (closed) session.close()
    return entry
  }

  /** A session with room, reserved for one stream; undefined: it has to be HTTP/1.1. */
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
      // Others who waited may have filled it; but one that takes no stream from the start will not
      // be followed by a better one.
      if (opened.streams === 0 && !hasRoom(opened)) {
        log.debug('a new HTTP/2 session to the API server takes no stream')
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
      if (http1Only) fallback.send(request, receiver)
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

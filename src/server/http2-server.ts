/** HTTP/2 on the listener: one session's streams, its idle time and its end. */
import type { ServerHttp2Session } from 'node:http2'

import type { ClientConnection, Exchange } from '../http/exchange.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { createHttp2Exchange } from './http2.ts'

export interface Http2Limits {
  readonly maxConcurrentStreams: number
  /** Milliseconds. */
  readonly headerTimeout: number
  readonly idleTimeout: number
}

interface Effects {
  readonly log: Log
  readonly metrics: Metrics
  readonly handle: (exchange: Exchange) => void
}

/** Serves a session; the returned function retires it: GOAWAY, open streams go on to their end. */
export function serveHttp2(
  session: ServerHttp2Session,
  connection: ClientConnection,
  limits: Http2Limits,
  { log, metrics, handle }: Effects,
): () => void {
  let open = 0
  session.on('error', (error) => {
    metrics.connectionsRefused.inc({ reason: 'http2' })
    log.debug({ err: error, address: connection.remoteAddress }, 'HTTP/2 session failed')
  })
  // node keeps this timer fresh on every frame; an open but silent watch is no idleness.
  session.setTimeout(limits.idleTimeout, () => {
    if (open === 0) session.close()
  })
  const first = setTimeout(() => session.destroy(), limits.headerTimeout)
  first.unref()
  session.once('close', () => clearTimeout(first))

  session.on('stream', (stream, headers, _flags, rawHeaders) => {
    clearTimeout(first)
    open += 1
    stream.on('error', (error) => log.trace({ err: error }, 'HTTP/2 stream failed'))
    stream.once('close', () => {
      open -= 1
    })
    if (stream.destroyed) return
    handle(createHttp2Exchange({ stream, headers, rawHeaders, connection }))
  })
  return () => {
    if (!session.closed) session.close()
  }
}

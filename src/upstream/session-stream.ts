/** Adapts one HTTP/2 stream to the API server to a `ResponseReceiver`. */
import { constants, type ClientHttp2Stream } from 'node:http2'

import { ForeignResponseError } from './audit-id.ts'
import type { ResponseReceiver } from './transport.ts'

/**
 * Passes the events of the stream on.
 *
 * @param onRefused called when the API server has certainly not processed the request (RFC 9113 section
 * 8.7); returns true when the request was sent again elsewhere
 */
export function relayStream(
  stream: ClientHttp2Stream,
  receiver: ResponseReceiver,
  onRefused: () => boolean,
): void {
  let headSeen = false
  let closed = false
  let ended = false
  let failure: Error | undefined

  const guarded = (step: () => void): void => {
    try {
      step()
    } catch (error) {
      failure = error as Error
      stream.close(constants.NGHTTP2_CANCEL)
      if (error instanceof ForeignResponseError) stream.session?.destroy(error)
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
    if (closed) return
    closed = true
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

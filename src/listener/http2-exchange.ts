/** An HTTP/2 stream as an `Exchange`, without node's compatibility API, which is slower. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'

import type {
  BodyReceiver,
  ClientConnection,
  ClientRequest,
  ClientResponse,
  Exchange,
  RawHeaders,
} from '../http/exchange.ts'
import type { Guard } from './exception-guard.ts'
import { ExchangeEnd } from './exchange-end.ts'

export interface Http2Parts {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: RawHeaders
  readonly connection: ClientConnection
  /** Wraps all callbacks. */
  readonly guard: Guard
  /** Not called after the stream has closed. */
  readonly onAuthenticated: () => void
  /** Called at the end of the exchange, before the callbacks of `onAbort` and `onClose`. */
  readonly onClosed: (exchange: Http2Exchange) => void
}

export interface Http2Exchange extends Exchange {
  readonly isAuthenticated: boolean
}

/** Wraps one request stream. */
export function createHttp2Exchange(parts: Http2Parts): Http2Exchange {
  return new StreamExchange(parts)
}

class StreamExchange implements Http2Exchange {
  readonly request: ClientRequest
  readonly response: Http2Response
  bytesReceived = 0
  isAuthenticated = false
  readonly #end: ExchangeEnd
  readonly #stream: ServerHttp2Stream
  readonly #headers: IncomingHttpHeaders
  readonly #guard: Guard
  readonly #onAuthenticated: () => void

  constructor(parts: Http2Parts) {
    const { stream, headers, rawHeaders, connection, guard, onAuthenticated } = parts
    const length = headers['content-length']
    this.#stream = stream
    this.#end = new ExchangeEnd(() => parts.onClosed(this))
    runAtClose(stream, this.#end, guard)
    this.#headers = headers
    this.#guard = guard
    this.#onAuthenticated = onAuthenticated
    this.request = {
      protocol: 'HTTP/2.0',
      method: headers[':method'] ?? '',
      rawTarget: headers[':path'] ?? '',
      authority: headers[':authority'] ?? headers.host,
      rawHeaders: withoutPseudoHeaders(rawHeaders),
      connection,
      isUpgrade: false,
      contentLength: length === undefined ? undefined : Number(length),
      hasBody: !stream.endAfterHeaders,
    }
    this.response = new Http2Response(
      stream,
      guard,
      headers[':method'] === 'HEAD',
      () => this.request.hasBody && !stream.readableEnded,
    )
  }

  header(name: string): string | undefined {
    const value = this.#headers[name]
    return Array.isArray(value) ? value[0] : value
  }

  receiveBody(receiver: BodyReceiver): void {
    const stream = this.#stream
    if (!this.request.hasBody) {
      receiver.onEnd()
      return
    }
    // The client may have reset the stream while its credential was being verified.
    if (this.#end.isOver || stream.closed || stream.destroyed) {
      const fail = this.#guard(() => receiver.onError(new Error('the client reset the stream')))
      queueMicrotask(fail)
      return
    }
    // node itself reads an empty body whose END_STREAM came with HEADERS, and emits `end` before anyone
    // listens. A reset, after which `end` is emitted too, has closed the stream.
    if (stream.readableEnded) {
      receiver.onEnd()
      return
    }
    if (this.header('expect') !== undefined && !stream.headersSent) {
      stream.additionalHeaders({ ':status': 100 })
    }
    let ended = false
    const fail = this.#guard((error?: Error) => {
      if (ended) return
      ended = true
      receiver.onError(
        error ?? new Error('the client reset the stream before the end of the request body'),
      )
    })
    const onData = this.#guard((chunk: Buffer) => {
      this.bytesReceived += chunk.length
      receiver.onData(chunk)
    })
    stream.on('data', onData)
    // `end` also follows a reset, even with NO_ERROR, which closes the stream first: only END_STREAM
    // completes a body.
    const onEnd = this.#guard(() => {
      if (stream.closed || stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
        fail()
        return
      }
      ended = true
      receiver.onEnd()
    })
    stream.on('end', onEnd)
    stream.on('aborted', () => fail())
    stream.on('error', fail)
    stream.on('close', () => fail())
    this.#end.add(() => removeListeners(stream))
  }

  pauseBody(): void {
    this.#stream.pause()
  }

  resumeBody(): void {
    this.#stream.resume()
  }

  recognized(): void {
    if (this.#end.isOver || this.isAuthenticated) return
    this.isAuthenticated = true
    this.#onAuthenticated()
  }

  onAbort(callback: (error: Error) => void): void {
    // Not by `writableEnded`: node itself ends the writable side when the client resets with NO_ERROR.
    const onClose = (): void => {
      if (!this.response.ended || this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
        callback(new Error('the client reset the stream before the end of the response'))
      }
    }
    if (this.#end.isOver) queueMicrotask(this.#guard(onClose))
    else this.#end.add(onClose)
  }

  onClose(callback: () => void): void {
    if (this.#end.isOver) callback()
    else this.#end.add(callback)
  }

  takeSocket(): never {
    throw new Error('an HTTP/2 stream cannot be taken over')
  }
}

class Http2Response implements ClientResponse {
  bytesWritten = 0
  /** Whether Gatehouse has ended the response. */
  ended = false
  readonly #stream: ServerHttp2Stream
  /** Whether the request is HEAD, for which node ends the writable side itself. */
  readonly #isHead: boolean
  readonly #bodyUnread: () => boolean
  readonly #guard: Guard

  constructor(stream: ServerHttp2Stream, guard: Guard, isHead: boolean, bodyUnread: () => boolean) {
    this.#stream = stream
    this.#guard = guard
    this.#isHead = isHead
    this.#bodyUnread = bodyUnread
  }

  get headersSent(): boolean {
    return this.#stream.headersSent
  }

  writeHead(status: number, headers: RawHeaders): void {
    if (this.#gone) return
    const head = [':status', String(status), ...headers]
    this.#stream.respond(head)
    // node keeps this array for as long as the stream.
    head.length = 0
  }

  flushHead(): void {
    // HEADERS is a separate frame, which node sends at the end of this turn of the event loop.
  }

  write(chunk: Buffer, onTaken?: () => void): void {
    if (this.#gone || this.#isHead) {
      onTaken?.()
      return
    }
    this.bytesWritten += chunk.length
    this.#stream.write(chunk, onTaken && this.#guard(onTaken))
  }

  end(chunk?: Buffer | string): void {
    if (this.#gone && !this.#isHead) return
    this.ended = true
    if (!this.#isHead) {
      if (chunk !== undefined) this.bytesWritten += Buffer.byteLength(chunk)
      this.#stream.end(chunk)
    }
    if (!this.#gone && this.#bodyUnread()) stopRequest(this.#stream)
  }

  destroy(error = new Error('the response was aborted')): void {
    // Not `close`, which first ends the writable side: END_STREAM would complete a partial response.
    if (!this.#stream.destroyed) this.#stream.destroy(error)
  }

  /** A stream that the client reset takes no more data; `onAbort` has reported that. */
  get #gone(): boolean {
    return this.#stream.destroyed || this.#stream.closed
  }
}

/**
 * RFC 9113 section 8.1: after an early response, asks the client to stop sending, without an error. If a response
 * cannot have a body, node ends it before its head is sent. The head is sent at the end of this turn of the event
 * loop, so a reset in the same turn would drop it. Like `runAtClose`, this refers to nothing of the exchange.
 */
function stopRequest(stream: ServerHttp2Stream): void {
  const stop = (): void => {
    if (!stream.closed && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR)
  }
  const stopInNextTurn = (): void => void setImmediate(stop)
  if (stream.writableFinished) stopInNextTurn()
  else stream.once('finish', stopInNextTurn)
}

/** Pseudo-header fields come first (RFC 9113 section 8.3); nghttp2 refuses later ones. */
function withoutPseudoHeaders(rawHeaders: RawHeaders): RawHeaders {
  let first = 0
  while (rawHeaders[first]?.startsWith(':') === true) first += 2
  return rawHeaders.slice(first)
}

/**
 * A function of its own, so that the listener refers to nothing else of the exchange. node keeps a session's
 * streams in a Map, and V8 keeps the entries of a Map's outgrown tables until the next full garbage collection:
 * a closed stream must not hold its whole exchange for that long.
 */
function runAtClose(stream: ServerHttp2Stream, end: ExchangeEnd, guard: Guard): void {
  stream.on(
    'close',
    guard(() => end.run()),
  )
}

/** Clears a closed stream, for the same reason. The remaining listeners of the current `close` event still run. */
function removeListeners(stream: ServerHttp2Stream): void {
  stream.removeAllListeners()
  stream.on('error', ignore)
}

function ignore(): void {
  // The stream has closed, and its end has been recorded.
}

/** HTTP/1.1 as an `Exchange`: over a `ServerResponse`, or over the socket of an upgrade request. */
import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import type {
  BodyReceiver,
  ClientConnection,
  ClientRequest,
  ClientResponse,
  Exchange,
  RawHeaders,
} from '../http/exchange.ts'
import type { StatusError } from '../status.ts'
import type { Guard } from './exception-guard.ts'
import { ExchangeEnd } from './exchange-end.ts'
import { discardBody, holdEarlyBytes } from './http1-early-bytes.ts'

const DISCONNECTED = 'the client disconnected before the end of the request body'

export interface Http1Parts {
  readonly message: IncomingMessage
  readonly response: ServerResponse
  readonly connection: ClientConnection
  /** Wraps all callbacks. */
  readonly guard: Guard
  readonly onAuthenticated: () => void
  /** Called at the end of the exchange, before the callbacks of `onAbort` and `onClose`. */
  readonly onClosed: () => void
  /** Only for upgrade requests. */
  readonly upgrade?: { readonly socket: Duplex; readonly head: Buffer }
}

export interface BreakableExchange extends Exchange {
  /**
   * Reports that the rest of the body is malformed: the receiver of the body gets the error.
   *
   * @returns false when a response has begun, so that the error cannot become the response
   */
  breakBody(error: StatusError): boolean
  /** Whether the response has `Connection: close`. */
  readonly endsConnection: boolean
}

/** Wraps the objects of `node:http`. Its parser and `framingProblem` have checked the framing. */
export function createHttp1Exchange(parts: Http1Parts): BreakableExchange {
  return new Http1Exchange(parts)
}

/** The response object of an upgrade request, so that refusals are sent like every other response. */
export function responseForUpgrade(message: IncomingMessage): ServerResponse {
  const response = new ServerResponse(message)
  response.shouldKeepAlive = false
  response.assignSocket(message.socket)
  const { socket } = message
  response.once('finish', () => {
    socket.destroySoon()
  })
  return response
}

class Http1Exchange implements BreakableExchange {
  readonly request: ClientRequest
  readonly response: Http1Response
  bytesReceived = 0
  readonly #message: IncomingMessage
  readonly #serverResponse: ServerResponse
  readonly #guard: Guard
  readonly #onAuthenticated: () => void
  readonly #end: ExchangeEnd
  readonly #upgrade: { readonly socket: Duplex; readonly release: () => Buffer } | undefined
  #socketTaken = false
  #bodyError: Error | undefined
  #onBodyError: ((error: Error) => void) | undefined

  constructor(parts: Http1Parts) {
    const { message, response, connection, guard, onAuthenticated, upgrade } = parts
    const length = message.headers['content-length']
    const chunked = message.headers['transfer-encoding'] !== undefined
    this.#message = message
    this.#serverResponse = response
    this.#guard = guard
    this.#onAuthenticated = onAuthenticated
    const end = new ExchangeEnd(parts.onClosed)
    response.on(
      'close',
      guard(() => end.run()),
    )
    this.#end = end
    this.#upgrade = upgrade && {
      socket: upgrade.socket,
      release: holdEarlyBytes(upgrade.socket, upgrade.head),
    }
    this.request = {
      protocol: 'HTTP/1.1',
      method: message.method ?? '',
      rawTarget: message.url ?? '',
      authority: message.headers.host,
      rawHeaders: message.rawHeaders,
      connection,
      isUpgrade: upgrade !== undefined,
      contentLength: length === undefined ? undefined : Number(length),
      hasBody: chunked || (length !== undefined && Number(length) > 0),
    }
    this.response = new Http1Response(response, guard)
  }

  get endsConnection(): boolean {
    return this.response.endsConnection
  }

  header(name: string): string | undefined {
    const value = this.#message.headers[name]
    return Array.isArray(value) ? value[0] : value
  }

  receiveBody(receiver: BodyReceiver): void {
    const message = this.#message
    // The events of a body that has ended, and of a connection that has closed, are not repeated.
    if (!this.request.hasBody || message.readableEnded) {
      receiver.onEnd()
      return
    }
    if (message.destroyed && this.#bodyError === undefined) {
      queueMicrotask(this.#guard(() => receiver.onError(new Error(DISCONNECTED))))
      return
    }
    if (this.header('expect') !== undefined) this.#serverResponse.writeContinue()
    let ended = false
    const onData = this.#guard((chunk: Buffer) => {
      this.bytesReceived += chunk.length
      receiver.onData(chunk)
    })
    const onEnd = this.#guard(() => {
      ended = true
      receiver.onEnd()
    })
    const fail = this.#guard((error?: Error) => {
      if (ended) return
      ended = true
      receiver.onError(error ?? new Error(DISCONNECTED))
    })
    message.on('data', onData)
    message.on('end', onEnd)
    this.#onBodyError = fail
    if (this.#bodyError !== undefined) fail(this.#bodyError)
    message.on('error', fail)
    message.on('close', fail)
  }

  breakBody(error: StatusError): boolean {
    if (this.#serverResponse.headersSent) return false
    this.#bodyError = error
    this.#onBodyError?.(error)
    return true
  }

  pauseBody(): void {
    this.#message.pause()
  }

  resumeBody(): void {
    this.#message.resume()
  }

  recognized(): void {
    this.#onAuthenticated()
  }

  onAbort(callback: (error: Error) => void): void {
    const onClose = (): void => {
      if (!this.#socketTaken && !this.#serverResponse.writableFinished) {
        callback(new Error('the client disconnected before the end of the response'))
      }
    }
    // The client may have disconnected while its credential was being verified.
    const { closed, destroyed } = this.#serverResponse
    if (this.#end.isOver || closed || destroyed) queueMicrotask(this.#guard(onClose))
    else this.#end.add(onClose)
  }

  onClose(callback: () => void): void {
    if (this.#end.isOver || this.#serverResponse.closed) callback()
    else this.#end.add(callback)
  }

  takeSocket(): { readonly socket: Duplex; readonly head: Buffer } {
    if (this.#upgrade === undefined || this.#serverResponse.headersSent) {
      throw new Error('this exchange has no connection to take over')
    }
    this.#socketTaken = true
    this.#serverResponse.detachSocket(this.#message.socket)
    return { socket: this.#upgrade.socket, head: this.#upgrade.release() }
  }
}

class Http1Response implements ClientResponse {
  bytesWritten = 0
  endsConnection = false
  readonly #response: ServerResponse
  readonly #guard: Guard

  constructor(response: ServerResponse, guard: Guard) {
    this.#response = response
    this.#guard = guard
  }

  get headersSent(): boolean {
    return this.#response.headersSent
  }

  writeHead(status: number, headers: RawHeaders): void {
    for (let i = 0; i < headers.length; i += 2) {
      // Compared in Gatehouse's own spelling, since the API server's field is never forwarded.
      if (headers[i] === 'Connection' && headers[i + 1] === 'close') this.endsConnection = true
    }
    this.#response.writeHead(status, headers as string[])
  }

  flushHead(): void {
    this.#response.flushHeaders()
  }

  write(chunk: Buffer, onTaken?: () => void): void {
    this.bytesWritten += chunk.length
    this.#response.write(chunk, onTaken && this.#guard(onTaken))
  }

  end(chunk?: Buffer | string): void {
    if (chunk !== undefined) this.bytesWritten += Buffer.byteLength(chunk)
    this.#response.end(chunk)
    discardBody(this.#response.req)
  }

  destroy(error?: Error): void {
    this.#response.destroy(error)
  }
}

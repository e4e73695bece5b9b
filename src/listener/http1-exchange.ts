/** HTTP/1.1 as an `Exchange`: over a `ServerResponse`, or over the bare socket of an upgrade request. */
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
import { holdEarlyBytes, lingerOver } from './http1-early-bytes.ts'

export interface Http1Parts {
  readonly message: IncomingMessage
  readonly response: ServerResponse
  readonly connection: ClientConnection
  /** For all that is called back later. */
  readonly guard: Guard
  readonly onRecognised: () => void
  /** Only for upgrade requests. */
  readonly upgrade?: { readonly socket: Duplex; readonly head: Buffer }
}

export interface BreakableExchange extends Exchange {
  /**
   * Tells that the rest of the body is not valid: whoever takes the body gets the error. False when
   * an answer has begun, so that it could not become the client's answer any more.
   */
  breakBody(error: StatusError): boolean
  /** Whether the answer's head says `Connection: close`. */
  readonly endsConnection: boolean
}

/** Wraps what `node:http` hands out. Framing has been checked by its parser and `framingProblem`. */
export function createHttp1Exchange(parts: Http1Parts): BreakableExchange {
  return new Http1Exchange(parts)
}

/** The response object of an upgrade request, so that refusals go the way of every other answer. */
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
  readonly #onRecognised: () => void
  readonly #upgrade: { readonly socket: Duplex; readonly release: () => Buffer } | undefined
  #socketTaken = false
  #bodyError: Error | undefined
  #onBodyError: ((error: Error) => void) | undefined

  constructor({ message, response, connection, guard, onRecognised, upgrade }: Http1Parts) {
    const length = message.headers['content-length']
    const chunked = message.headers['transfer-encoding'] !== undefined
    this.#message = message
    this.#serverResponse = response
    this.#guard = guard
    this.#onRecognised = onRecognised
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
    if (!this.request.hasBody) {
      receiver.onEnd()
      return
    }
    if (this.header('expect') !== undefined) this.#serverResponse.writeContinue()
    let over = false
    const onData = this.#guard((chunk: Buffer) => {
      this.bytesReceived += chunk.length
      receiver.onData(chunk)
    })
    const onEnd = this.#guard(() => {
      over = true
      receiver.onEnd()
    })
    const broken = this.#guard((error?: Error) => {
      if (over) return
      over = true
      receiver.onError(error ?? new Error('the client left before the end of its body'))
    })
    message.on('data', onData)
    message.on('end', onEnd)
    this.#onBodyError = broken
    if (this.#bodyError !== undefined) broken(this.#bodyError)
    message.on('error', broken)
    message.on('close', broken)
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

  recognised(): void {
    this.#onRecognised()
  }

  onAbort(callback: (error: Error) => void): void {
    const tell = this.#guard(() => {
      if (!this.#socketTaken && !this.#serverResponse.writableFinished) {
        callback(new Error('the client left before the end of the answer'))
      }
    })
    // The client may have left while its credential was being verified.
    if (this.#serverResponse.closed || this.#serverResponse.destroyed) queueMicrotask(tell)
    else this.#serverResponse.once('close', tell)
  }

  onClose(callback: () => void): void {
    if (this.#serverResponse.closed) callback()
    else this.#serverResponse.once('close', this.#guard(callback))
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
      // As Gatehouse's own writers spell it; the API server's field is never passed on.
      if (headers[i] === 'Connection' && headers[i + 1] === 'close') this.endsConnection = true
    }
    this.#response.writeHead(status, headers as string[])
  }

  flushHead(): void {
    this.#response.flushHeaders()
  }

  write(chunk: Buffer): boolean {
    this.bytesWritten += chunk.length
    return this.#response.write(chunk)
  }

  onDrain(callback: () => void): void {
    this.#response.on('drain', this.#guard(callback))
  }

  end(chunk?: Buffer | string): void {
    if (chunk !== undefined) this.bytesWritten += Buffer.byteLength(chunk)
    this.#response.end(chunk)
    lingerOver(this.#response.req)
  }

  destroy(error?: Error): void {
    this.#response.destroy(error)
  }
}

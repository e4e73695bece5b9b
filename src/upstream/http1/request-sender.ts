/** Sends a request with a body, which Gatehouse frames itself, with back pressure. */
import type { Writable } from 'node:stream'

import type { BodyReceiver } from '../../http/exchange.ts'
import { UpstreamError } from '../errors.ts'
import type { RequestBody } from '../request-body.ts'
import type { UpstreamRequest } from '../transport.ts'

/** Methods whose requests have a length even without a body (RFC 9110 section 8.6). */
const WITH_LENGTH: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])

/** The header fields that delimit the body of a request. */
export function framingHeaders({
  method,
  body,
  contentLength,
}: Pick<UpstreamRequest, 'method' | 'body' | 'contentLength'>): readonly string[] {
  if (body === undefined) return WITH_LENGTH.has(method) ? ['content-length', '0'] : []
  return contentLength === undefined
    ? ['transfer-encoding', 'chunked']
    : ['content-length', String(contentLength)]
}

export interface BodySenderOptions {
  readonly socket: Writable
  /** In latin1; sent with the first bytes of the body: what never begins does not reach the API server. */
  readonly head: string
  readonly body: RequestBody
  /** Announced length in bytes; undefined when chunked. */
  readonly contentLength: number | undefined
  /** Called when bytes were written. */
  readonly onProgress: () => void
  /** The connection must be destroyed: what was announced will not be sent. */
  readonly onError: (error: Error) => void
}

/** Sends the body of one request. */
export class BodySender implements BodyReceiver {
  /** Whether the body was sent to its end. */
  isComplete = false
  readonly #options: BodySenderOptions
  #isHeadSent = false
  #sent = 0
  #isStopped = false

  constructor(options: BodySenderOptions) {
    this.#options = options
  }

  /** Whether the client has to send more. */
  get waitsForClient(): boolean {
    return this.#options.body.waitsForClient
  }

  start(): void {
    this.#options.body.receive(this)
  }

  /** The connection takes more. */
  drained(): void {
    if (!this.#isStopped) this.#options.body.resume()
  }

  /** Sends nothing more. */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#options.body.discard()
  }

  onData(chunk: Buffer): void {
    if (this.#isStopped || chunk.length === 0) return
    const { body, contentLength, onProgress } = this.#options
    this.#sent += chunk.length
    if (contentLength !== undefined && this.#sent > contentLength) {
      this.#fail()
      return
    }
    onProgress()
    if (!this.#write(chunk)) body.pause()
  }

  /** Returns false when the connection takes no more at present. */
  #write(chunk: Buffer): boolean {
    const { socket, contentLength } = this.#options
    socket.cork()
    this.#writeHead()
    if (contentLength === undefined) socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    let hasRoom = socket.write(chunk)
    if (contentLength === undefined) hasRoom = socket.write('\r\n', 'latin1')
    socket.uncork()
    return hasRoom
  }

  #writeHead(): void {
    if (this.#isHeadSent) return
    this.#isHeadSent = true
    this.#options.socket.write(this.#options.head, 'latin1')
  }

  onEnd(): void {
    if (this.#isStopped) return
    const { socket, contentLength, onProgress } = this.#options
    if (contentLength !== undefined && this.#sent !== contentLength) {
      this.#fail()
      return
    }
    socket.cork()
    this.#writeHead()
    if (contentLength === undefined) socket.write('0\r\n\r\n', 'latin1')
    socket.uncork()
    this.isComplete = true
    onProgress()
  }

  onError(error: Error): void {
    if (!this.#isStopped) this.#options.onError(error)
  }

  #fail(): void {
    const message = 'the request body does not have its announced length'
    this.#options.onError(new UpstreamError('request', 'BadRequest', message))
  }
}

/**
 * One connection to the API server, for one request at a time. It is free for the next request only if
 * the response ended with the last byte that has arrived, and the request was sent to its end.
 * Everything else closes it: what follows could be taken for the response to another user.
 */
import type { TLSSocket } from 'node:tls'

import { connectTls } from '../../cluster/connect.ts'
import type { ConnectionLimits, UpstreamEndpoint } from '../../cluster/endpoint.ts'
import { UpstreamError } from '../errors.ts'
import type { RequestBody } from '../request-body.ts'
import { GatheredBody } from './gathered-body.ts'
import { formatRequestHead } from './request-head.ts'
import type { RequestInFlight, ServingConnection } from './request-in-flight.ts'
import { BodySender, framingHeaders } from './request-sender.ts'
import type { ResponseHead } from './response-head.ts'
import { ResponseReader, type ResponseSink } from './response-reader.ts'
import type { Slabs } from './slabs.ts'
import type { TurnEndListener } from './turn-end.ts'

/**
 * Where every connection's bytes arrive; they are read before the next ones come. Behind the bytes that
 * have just arrived are those of other users. A TLS record has at most 16 KB.
 */
const LANDING = Buffer.allocUnsafeSlow(16_384)

/** How much earlier than the API server a connection closes that has announced its idle timeout. */
const KEEP_ALIVE_MARGIN_MS = 1_000

export interface ConnectionOptions {
  readonly endpoint: UpstreamEndpoint
  readonly limits: ConnectionLimits
}

export interface ConnectionEffects {
  readonly slabs: Slabs
  readonly atTurnEnd: (listener: TurnEndListener) => void
  /** It has connected. */
  readonly onOpen: () => void
  /** It takes a request; called at once after `onOpen`, too. */
  readonly onFree: (connection: Connection) => void
  /** Called once. `wasOpen`: whether it had connected. */
  readonly onClosed: (connection: Connection, error: Error, wasOpen: boolean) => void
  /** Monotonic clock, in milliseconds. */
  readonly now: () => number
}

/** One connection. */
export class Connection implements ServingConnection, ResponseSink, TurnEndListener {
  readonly #limits: ConnectionLimits
  readonly #effects: ConnectionEffects
  readonly #socket: TLSSocket
  readonly #reader = new ResponseReader(this)
  readonly #gathered: GatheredBody
  /** The request that is being served. */
  #current: RequestInFlight | undefined
  #sender: BodySender | undefined
  #isOpen = false
  #isClosed = false
  #isPaused = false
  #isPersistent = true
  /** The response has ended, but more that has arrived already may follow it. */
  #isSettling = false
  #waitsForTurnEnd = false
  #progressAt: number
  /** Milliseconds that it may be unused. */
  #idleTimeout: number

  constructor({ endpoint, limits }: ConnectionOptions, effects: ConnectionEffects) {
    this.#limits = limits
    this.#effects = effects
    this.#gathered = new GatheredBody(effects.slabs)
    this.#progressAt = effects.now()
    this.#idleTimeout = limits.idleTimeout
    const socket = connectTls(endpoint, limits, {
      protocols: ['http/1.1'],
      onread: {
        buffer: LANDING,
        callback: (length) => {
          this.#received(length)
          return true
        },
      },
    })
    this.#socket = socket
    socket.once('secureConnect', () => this.#opened())
    socket.on('drain', () => this.#sender?.drained())
    socket.on('error', (error) => this.#broken(error))
    socket.once('end', () => this.#broken(closedEarly()))
    socket.once('close', () => this.#broken(closedEarly()))
  }

  #opened(): void {
    if (this.#isClosed) return
    this.#isOpen = true
    this.#progressAt = this.#effects.now()
    this.#effects.onOpen()
    this.#effects.onFree(this)
  }

  /**
   * Sends a request; only when the connection is free.
   *
   * @returns false when nothing was sent and the request has ended, so that the connection is still free
   */
  start(inFlight: RequestInFlight): boolean {
    const { request } = inFlight
    let head: string
    try {
      if (!inFlight.begin(this)) {
        inFlight.fail(inFlight.abortReason ?? closedEarly())
        return false
      }
      const ownHeaders = ['connection', 'keep-alive', ...framingHeaders(request)]
      head = formatRequestHead({ ...request, ownHeaders })
    } catch (error) {
      inFlight.fail(error as Error)
      return false
    }
    this.#current = inFlight
    this.#isPersistent = true
    this.#idleTimeout = this.#limits.idleTimeout
    this.#reader.begin(request.method)
    this.#gathered.begin(request.isLongRunning)
    this.#progress()
    if (request.body === undefined) this.#socket.write(head, 'latin1')
    else this.#startBody(head, request.body, request.contentLength)
    return true
  }

  #startBody(head: string, body: RequestBody, contentLength: number | undefined): void {
    this.#sender = new BodySender({
      socket: this.#socket,
      head,
      body,
      contentLength,
      onProgress: () => this.#progress(),
      onError: (error) => this.fail(error),
    })
    try {
      this.#sender.start()
    } catch (error) {
      this.fail(error as Error)
    }
  }

  #progress(): void {
    this.#progressAt = this.#effects.now()
  }

  pause(): void {
    if (this.#isPaused || this.#isClosed) return
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isPaused || this.#isClosed) return
    this.#isPaused = false
    this.#progress()
    this.#socket.resume()
  }

  /** Closes the connection and ends its request. */
  fail(error: Error): void {
    const current = this.#current
    this.#closeWith(error)
    current?.fail(error)
  }

  #closeWith(error: Error): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#current = undefined
    this.#sender?.stop()
    this.#gathered.discard()
    this.#socket.destroy()
    this.#effects.onClosed(this, error, this.#isOpen)
  }

  /** Closes the connection, which is free. */
  close(): void {
    this.fail(closedEarly())
  }

  /** Whether it was unused for too long: the API server may be about to close it. */
  isStale(now: number): boolean {
    return now - this.#progressAt >= this.#idleTimeout
  }

  /** Fails a request for which the API server does nothing. */
  checkProgress(now: number): void {
    if (!this.#isOpen || this.#current === undefined) return
    if (this.#current.request.isLongRunning) return
    // The client has other timeouts.
    if (this.#isPaused || this.#sender?.waitsForClient === true) this.#progressAt = now
    else if (now - this.#progressAt >= this.#limits.responseHeaderTimeout) {
      this.fail(new UpstreamError('timeout', 'Timeout', 'the API server did not respond in time'))
    }
  }

  /** Bytes have arrived, also after `pause`. */
  #received(length: number): void {
    if (this.#current === undefined) {
      // Nobody has requested them.
      this.close()
      return
    }
    this.#progress()
    try {
      const read = this.#reader.read(LANDING, length)
      if (this.#isClosed) return
      if (this.#reader.isIdle) this.#responseEnded(this.#current, read === length)
      else if (!this.#gathered.isEmpty) this.#waitForTurnEnd()
    } catch (error) {
      this.#broken(error as Error)
    }
  }

  /**
   * The response ends here, incomplete. What came before is passed on, and the failure one turn later:
   * the client loses what is written in the turn in which its response is aborted.
   */
  #broken(error: Error): void {
    const current = this.#current
    try {
      this.#deliver()
    } finally {
      this.#closeWith(error)
      if (current !== undefined) setImmediate(() => current.fail(error))
    }
  }

  onHead({ status, headers, isPersistent, keepAlive }: ResponseHead): void {
    if (status >= 200) {
      this.#isPersistent = isPersistent
      if (keepAlive !== undefined) {
        this.#idleTimeout = Math.min(this.#idleTimeout, keepAlive - KEEP_ALIVE_MARGIN_MS)
      }
    }
    this.#current?.receiver.onHead(status, headers)
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    // The receiver of a piece may end the request.
    for (let at = from; at < to && !this.#isClosed;) {
      at += this.#gathered.add(bytes, at, to)
      if (this.#gathered.isFull) this.#deliver()
    }
  }

  #deliver(): void {
    const piece = this.#gathered.take()
    if (piece !== undefined) this.#current?.receiver.onData(piece.bytes, piece.giveBack)
  }

  #responseEnded(current: RequestInFlight, isAtLastByte: boolean): void {
    const piece = this.#gathered.take()
    if (piece?.giveBack !== undefined) {
      current.receiver.onData(piece.bytes, piece.giveBack)
      // The request was aborted, and its connection has closed.
      if (this.#current === undefined) return
    }
    this.#current = undefined
    if (isAtLastByte && this.#isReusable(current)) {
      this.#sender = undefined
      this.#isSettling = true
      this.#waitForTurnEnd()
    } else this.close()
    current.end(piece?.giveBack === undefined ? piece?.bytes : undefined)
  }

  #isReusable({ request }: RequestInFlight): boolean {
    return (
      this.#isPersistent &&
      this.#idleTimeout > 0 &&
      // A body that an invalid response to HEAD has would be read as the next response.
      request.method !== 'HEAD' &&
      (this.#sender?.isComplete ?? true)
    )
  }

  #waitForTurnEnd(): void {
    if (this.#waitsForTurnEnd) return
    this.#waitsForTurnEnd = true
    this.#effects.atTurnEnd(this)
  }

  /** All bytes that had arrived were read. */
  onTurnEnd(): void {
    this.#waitsForTurnEnd = false
    if (this.#isClosed) return
    try {
      if (this.#isSettling) this.#settle()
      else this.#deliver()
    } catch (error) {
      this.fail(error as Error)
    }
  }

  #settle(): void {
    if (this.#isPaused) {
      // What has arrived meanwhile was not read yet, and the next response would never be.
      this.resume()
      this.#waitForTurnEnd()
      return
    }
    this.#isSettling = false
    // Not earlier: a response may arrive before Node has called back for the write of its request.
    if (this.#socket.writableLength > 0) this.close()
    else this.#effects.onFree(this)
  }
}

/** A code that says by itself what happened, for the log. */
function closedEarly(): Error {
  return Object.assign(new Error('the API server closed the connection'), { code: 'ECONNRESET' })
}

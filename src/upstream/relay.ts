/** Carries one answer from a transport to the client, both ways aware of the other's pace and end. */
import type { Exchange, RawHeaders } from '../http/exchange.ts'
import { StatusError } from '../status.ts'
import { INVALID_RESPONSE, mapUpstreamError } from './errors.ts'
import { CLIENT_CLOSED_REQUEST, type ForwardOutcome } from './outcome.ts'
import type { RequestBody } from './request-body.ts'
import { checkResponse, responseHeaders, type UpstreamResponseHeaders } from './response-headers.ts'
import type { Stallable, StallEntry, Stalls } from './stalls.ts'
import type { ResponseReceiver, UpstreamControl } from './transport.ts'

/** Interim answers (1xx) that are read and dropped before the API server is given up. */
const MAX_INTERIM = 10

export interface RelayOptions {
  readonly exchange: Exchange
  /** Gatehouse's own response headers: Audit-ID, HSTS, RateLimit. */
  readonly ownHeaders: RawHeaders
  /** Sends the head at once, however long the first bytes take. */
  readonly isLongRunning: boolean
  readonly isConnect: boolean
  readonly onHead: (status: number) => void
  /** Told why an answer ended before its end, which its client has begun to get. */
  readonly onBrokenOff: (error: Error) => void
  /** Ends the exchange when its client stops moving; undefined for streams, which may be silent. */
  readonly stalls: Stalls | undefined
}

const NEWLINE = 0x0a

/**
 * Resolves when the exchange is over, however; rejects with `StatusError` while nothing has been
 * sent to the client yet.
 */
export class Relay implements ResponseReceiver, Stallable {
  readonly done: Promise<ForwardOutcome>
  /** The client's body, when it has one. */
  body: RequestBody | undefined
  readonly #options: RelayOptions
  #control: UpstreamControl | undefined
  #stallEntry: StallEntry | undefined
  /** Status of the head that was sent; 0: nothing has been sent. */
  #status = 0
  /** A short answer's head, kept until its first byte or its end: what breaks before is a whole 502. */
  #heldStatus = 0
  #heldHead: readonly string[] = []
  #interim = 0
  #clientGone: Error | undefined
  #cutBy: StatusError | undefined
  #settled = false
  #atLineEnd = true
  /** Whether all that is left is for the client to read. */
  #isFull = false
  #resolve!: (outcome: ForwardOutcome) => void
  #reject!: (error: StatusError) => void

  constructor(options: RelayOptions) {
    this.#options = options
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    options.exchange.onAbort((error) => this.clientGone(error))
    options.exchange.response.onDrain(() => {
      this.#isFull = false
      this.#control?.resume()
    })
  }

  /** Body bytes both ways so far. */
  get bytesMoved(): number {
    const { exchange } = this.#options
    return exchange.bytesReceived + exchange.response.bytesWritten
  }

  /** Whether it is the client's turn: to read, or to send more of its body. */
  get waitsForClient(): boolean {
    return this.#isFull || this.body?.waitsForClient === true
  }

  /** The client left, in the middle of its body or of the answer: upstream is told to stop. */
  clientGone(error: Error): void {
    this.#clientGone = error
    // First, or the error that the abort makes would count as the API server's.
    this.#settle({
      code: this.#status === 0 ? CLIENT_CLOSED_REQUEST : this.#status,
      abortedBy: 'client',
    })
    this.#control?.abort(error)
  }

  /**
   * Ends the stream from Gatehouse's side (shutdown). Between two lines, as watches and logs have
   * them, the answer ends cleanly, as kube-apiserver ends a watch: clients just ask again.
   */
  cut(reason: StatusError): void {
    this.#end(reason, this.#atLineEnd)
  }

  /** Ends an exchange whose client has stopped, and the upstream connection that it holds. */
  stall(): void {
    const message = this.#isFull
      ? 'the client stopped reading the answer'
      : 'the client stopped sending the request body'
    this.#end(new StatusError('Timeout', message, { closeConnection: true }), false)
  }

  #end(reason: StatusError, clean: boolean): void {
    const { response } = this.#options.exchange
    if (this.#settled) return
    if (this.#status === 0) this.#refuse(reason)
    else {
      if (clean) response.end()
      else response.destroy(reason)
      this.#settle({ code: this.#status, abortedBy: 'gatehouse', cause: reason.message })
    }
    this.#cutBy = reason
    this.#control?.abort(reason)
  }

  onStart(control: UpstreamControl): void {
    this.#control = control
    // Whoever waited for a connection meanwhile is not sent at all.
    const over = this.#clientGone ?? this.#cutBy
    if (over !== undefined) control.abort(over)
    else this.#stallEntry ??= this.#options.stalls?.add(this)
  }

  onHead(status: number, headers: UpstreamResponseHeaders): void {
    if (status >= 100 && status < 200) {
      this.#interim += 1
      if (this.#interim > MAX_INTERIM) {
        throw new StatusError('BadGateway', 'the API server sent too many interim answers')
      }
      return
    }
    if (this.#settled) return
    const { ownHeaders, isConnect, isLongRunning } = this.#options
    checkResponse(status, headers, isConnect)
    this.#heldStatus = status
    this.#heldHead = responseHeaders(headers, ownHeaders)
    if (!isLongRunning) return
    this.#sendHead()
    this.#options.exchange.response.flushHead()
  }

  onData(chunk: Buffer): void {
    if (this.#settled) return
    if (this.#status === 0 && !this.#triesHead()) return
    if (this.#options.isLongRunning) this.#atLineEnd = chunk[chunk.length - 1] === NEWLINE
    if (this.#options.exchange.response.write(chunk)) return
    this.#isFull = true
    this.#control?.pause()
  }

  onEnd(): void {
    if (this.#settled) return
    if (this.#status === 0 && !this.#triesHead()) return
    const { exchange } = this.#options
    this.#isFull = true
    exchange.onClose(() => this.#settle({ code: this.#status }))
    exchange.response.end()
  }

  onError(error: Error): void {
    if (this.#settled) return
    const { exchange } = this.#options
    if (this.#status === 0) {
      this.#refuse(error instanceof StatusError ? error : mapUpstreamError(error).error)
      return
    }
    // Too late for a Status: break off visibly, so that half an answer is not taken for a whole one.
    exchange.response.destroy(error)
    this.#settle({ code: this.#status, abortedBy: 'upstream', cause: error.message })
    this.#options.onBrokenOff(error)
  }

  /** @throws StatusError 502 for a head that this client's protocol cannot carry */
  #sendHead(): void {
    const status = this.#heldStatus
    try {
      this.#options.exchange.response.writeHead(status, this.#heldHead)
    } catch (error) {
      const { code, message } = error as Error & { code?: string }
      const cause = Object.assign(new Error(`${code ?? ''}: ${message}`), {
        code: INVALID_RESPONSE,
      })
      throw new StatusError('BadGateway', "the API server's answer cannot be passed on", { cause })
    }
    this.#status = status
    this.#options.onHead(status)
  }

  #triesHead(): boolean {
    try {
      this.#sendHead()
      return true
    } catch (error) {
      this.onError(error as Error)
      this.#control?.abort(error as Error)
      return false
    }
  }

  #refuse(error: StatusError): void {
    this.#settled = true
    if (this.#stallEntry !== undefined) this.#options.stalls?.remove(this.#stallEntry)
    this.#reject(error)
  }

  #settle(outcome: ForwardOutcome): void {
    if (this.#settled) return
    this.#settled = true
    if (this.#stallEntry !== undefined) this.#options.stalls?.remove(this.#stallEntry)
    this.#resolve(outcome)
  }
}

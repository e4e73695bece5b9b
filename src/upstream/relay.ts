/** Carries one answer from a transport to the client, both ways aware of the other's pace and end. */
import type { Exchange, RawHeaders } from '../http/exchange.ts'
import { StatusError } from '../status.ts'
import { mapUpstreamError } from './errors.ts'
import { checkResponse, responseHeaders, type UpstreamResponseHeaders } from './response-headers.ts'
import type { AnswerReceiver, UpstreamControl } from './transport.ts'

/** Interim answers (1xx) that are read and dropped before the API server is given up. */
const MAX_INTERIM = 10

export interface ForwardOutcome {
  readonly code: number
  readonly abortedBy?: 'client' | 'upstream' | 'gatehouse'
}

export interface RelayOptions {
  readonly exchange: Exchange
  /** Gatehouse's own response headers: Audit-ID, HSTS, RateLimit. */
  readonly ownHeaders: RawHeaders
  /** Sends the head at once, however long the first bytes take. */
  readonly isLongRunning: boolean
  readonly isConnect: boolean
  readonly onHead: (status: number) => void
}

const NEWLINE = 0x0a

/** Recorded for a client that left before any answer; nginx's number, never sent. */
const CLIENT_CLOSED_REQUEST = 499

/**
 * Resolves when the exchange is over, however; rejects with `StatusError` while nothing has been
 * sent to the client yet.
 */
export class Relay implements AnswerReceiver {
  readonly done: Promise<ForwardOutcome>
  readonly #options: RelayOptions
  #control: UpstreamControl | undefined
  #status = 0
  #interim = 0
  #clientGone: Error | undefined
  #cutBy: StatusError | undefined
  #settled = false
  #atLineEnd = true
  #resolve!: (outcome: ForwardOutcome) => void
  #reject!: (error: StatusError) => void

  constructor(options: RelayOptions) {
    this.#options = options
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    options.exchange.onAbort((error) => this.clientGone(error))
    options.exchange.response.onDrain(() => this.#control?.resume())
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
    const { exchange } = this.#options
    if (this.#settled) return
    if (this.#status === 0) {
      this.#settled = true
      this.#reject(reason)
    } else {
      if (this.#atLineEnd) exchange.response.end()
      else exchange.response.destroy(reason)
      this.#settle({ code: this.#status, abortedBy: 'gatehouse' })
    }
    this.#cutBy = reason
    this.#control?.abort(reason)
  }

  onStart(control: UpstreamControl): void {
    this.#control = control
    // Whoever waited for a connection meanwhile is not sent at all.
    const over = this.#clientGone ?? this.#cutBy
    if (over !== undefined) control.abort(over)
  }

  onHead(status: number, headers: UpstreamResponseHeaders): void {
    if (status < 200) {
      this.#interim += 1
      if (this.#interim > MAX_INTERIM) {
        throw new StatusError('BadGateway', 'the API server sent too many interim answers')
      }
      return
    }
    if (this.#settled) return
    const { exchange, ownHeaders, isConnect, isLongRunning, onHead } = this.#options
    checkResponse(status, headers, isConnect)
    exchange.response.writeHead(status, responseHeaders(headers, ownHeaders))
    if (isLongRunning) exchange.response.flushHead()
    this.#status = status
    onHead(status)
  }

  onData(chunk: Buffer): void {
    if (this.#settled) return
    if (this.#options.isLongRunning) this.#atLineEnd = chunk[chunk.length - 1] === NEWLINE
    if (!this.#options.exchange.response.write(chunk)) this.#control?.pause()
  }

  onEnd(): void {
    if (this.#settled) return
    const { exchange } = this.#options
    exchange.onClose(() => this.#settle({ code: this.#status }))
    exchange.response.end()
  }

  onError(error: Error): void {
    if (this.#settled) return
    const { exchange } = this.#options
    if (this.#status === 0) {
      this.#settled = true
      this.#reject(error instanceof StatusError ? error : mapUpstreamError(error).error)
      return
    }
    // Too late for a Status: break off visibly, so that half an answer is not taken for a whole one.
    exchange.response.destroy(error)
    this.#settle({ code: this.#status, abortedBy: 'upstream' })
  }

  #settle(outcome: ForwardOutcome): void {
    if (this.#settled) return
    this.#settled = true
    this.#resolve(outcome)
  }
}

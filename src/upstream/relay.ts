/** Relays one response from a transport to the client, with back pressure and the end of either side. */
import type { Exchange, RawHeaders } from '../http/exchange.ts'
import type { RequestInfo } from '../request/types.ts'
import { StatusError } from '../status.ts'
import { checkAuditID } from './audit-id.ts'
import { isOfClient, toUpstreamError, unusableResponse } from './errors.ts'
import type { ClientWindow } from './client-window.ts'
import { responseNotice, type EndNotice } from './end-notice.ts'
import { FRAME_END_MS, type FrameEnds } from './frame-ends.ts'
import { NOT_RECORDED, type ForwardRecord } from './forward-record.ts'
import { HeldBody } from './held-body.ts'
import { CLIENT_CLOSED_REQUEST, type ForwardOutcome } from './outcome.ts'
import type { RequestBody } from './request-body.ts'
import { createResponseFrames } from './response-frames.ts'
import { checkResponse, responseHeaders, type UpstreamResponseHeaders } from './response-headers.ts'
import type { Stallable, StallEntry, Stalls } from './stalls.ts'
import type { ResponseReceiver, UpstreamControl } from './transport.ts'

/** Interim (1xx) responses that are dropped; one more fails the request. */
const MAX_INTERIM_RESPONSES = 10

export interface RelayOptions {
  readonly exchange: Exchange
  /** Gatehouse's own response headers: Audit-ID, HSTS, RateLimit. */
  readonly ownHeaders: RawHeaders
  /** That of the request; a response with another one is refused. */
  readonly auditID: string
  readonly info: RequestInfo
  /** Sends the head at once, without waiting for the first bytes of the body. */
  readonly isLongRunning: boolean
  readonly isConnect: boolean
  readonly record: ForwardRecord
  /** For the record. */
  readonly identityMode: string
  /** Called with the reason why nothing was sent to the client, before `done` rejects with it. */
  readonly onRefused: (error: StatusError) => void
  /** Called when a response ends early, after its head was sent to the client. */
  readonly onTruncated: (error: Error) => void
  /** Ends the exchange when its client stalls; undefined for streams, which may be silent. */
  readonly stalls: Stalls | undefined
  readonly window: ClientWindow
}

/**
 * One exchange. `done` resolves when it has ended, in whatever way; it rejects with a `StatusError` as
 * long as nothing was sent to the client.
 */
export class Relay implements ResponseReceiver, Stallable {
  readonly done: Promise<ForwardOutcome>
  /** The client's request body, when the request has one. */
  body: RequestBody | undefined
  readonly #options: RelayOptions
  #control: UpstreamControl | undefined
  #stallEntry: StallEntry | undefined
  /** Status of the head that was sent; 0 when nothing was sent. */
  #status = 0
  /** A short response's head until its first byte or its end: a failure before that is still a proper 502. */
  #pendingStatus = 0
  #pendingHead: readonly string[] = []
  /** What arrived of the body while the head waits for its audit event; undefined when it does not wait. */
  #held: HeldBody | undefined
  #interimResponses = 0
  #clientGone: Error | undefined
  #cutReason: StatusError | undefined
  #cutTimer: NodeJS.Timeout | undefined
  /** Whether the response is complete, as far as it goes: what the API server still sends is ignored. */
  #isComplete = false
  #settled = false
  /** Of a stream, once its head has arrived. */
  #frames: FrameEnds | undefined
  /** What the client of a stream reads at its end, if it can. */
  #notice: EndNotice | undefined
  /** Whether the response waits for the client to read. */
  #isFull = false
  #bytesTaken = 0
  #resolve!: (outcome: ForwardOutcome) => void
  #reject!: (error: StatusError) => void

  constructor(options: RelayOptions) {
    this.#options = options
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    options.exchange.onAbort((error) => this.clientGone(error))
  }

  /** Body bytes in both directions so far: received, and taken by the connection to the client. */
  get bytesMoved(): number {
    return this.#options.exchange.bytesReceived + this.#bytesTaken
  }

  /** Whether the client has to read, or to send more of its body. */
  get waitsForClient(): boolean {
    return this.#isFull || this.body?.waitsForClient === true
  }

  /** The client is gone, within its body or within the response: aborts the upstream request. */
  clientGone(error: Error): void {
    this.#clientGone = error
    // Before the abort, whose error would count as an upstream failure.
    this.#settle({
      code: this.#status === 0 ? CLIENT_CLOSED_REQUEST : this.#status,
      abortedBy: 'client',
    })
    this.#control?.abort(error)
  }

  /**
   * Ends the exchange from Gatehouse's side (shutdown, reload, a credential that has expired). A stream
   * ends between two frames, which watches and logs consist of, as kube-apiserver ends a watch: clients
   * reconnect. Within a frame, it waits for the rest of it, and breaks off when that does not arrive in
   * time. The reason follows where the format has room for it.
   */
  cut(reason: StatusError): void {
    if (this.#frames === undefined || this.#status === 0) {
      this.#end(reason)
      return
    }
    if (this.#settled || this.#isComplete || this.#cutReason !== undefined) return
    this.#cutReason = reason
    this.#cutTimer = setTimeout(() => this.#end(reason), FRAME_END_MS)
    if (this.#frames.isAtEnd) this.#endBetweenFrames(reason)
  }

  #endBetweenFrames(reason: StatusError): void {
    const { exchange } = this.#options
    const outcome = { code: this.#status, abortedBy: 'gatehouse', cause: reason.message } as const
    this.#isComplete = true
    clearTimeout(this.#cutTimer)
    // A client that does not read is not waited for: what was written stays for it to read.
    this.#cutTimer = setTimeout(() => this.#settle(outcome), FRAME_END_MS)
    exchange.onClose(() => this.#settle(outcome))
    exchange.response.end(this.#notice?.(reason))
    this.#control?.abort(reason)
  }

  /** Ends an exchange whose client has stalled, and the upstream connection that it holds. */
  stall(): void {
    const message = this.#isFull
      ? 'the client stopped reading the response'
      : 'the client stopped sending the request body'
    this.#end(new StatusError('Timeout', message, { closeConnection: true }))
  }

  /** Ends an exchange whose client has not sent its whole body in time, however steadily it sends. */
  bodyTimedOut(): void {
    const message = 'the client took too long to send the request body'
    this.#end(new StatusError('Timeout', message, { closeConnection: true }))
  }

  /** Refuses the request, or breaks off its response. */
  #end(reason: StatusError): void {
    const { response } = this.#options.exchange
    if (this.#settled) return
    // A response that is withheld must not become a refusal: the request may have been carried out.
    const isHeld = this.#held !== undefined
    if (this.#status === 0 && !isHeld) this.#refuse(reason)
    else {
      response.destroy(reason)
      const code = isHeld ? this.#pendingStatus : this.#status
      this.#settle({ code, abortedBy: 'gatehouse', cause: reason.message })
    }
    this.#cutReason = reason
    this.#control?.abort(reason)
  }

  onWait(control: UpstreamControl): void {
    this.#control = control
    const endReason = this.#clientGone ?? this.#cutReason
    if (endReason !== undefined) control.abort(endReason)
    else this.#stallEntry ??= this.#options.stalls?.add(this)
  }

  onStart(control: UpstreamControl): void {
    // The request may have waited for a connection and ended meanwhile: it is not sent.
    this.onWait(control)
    if (this.#clientGone !== undefined || this.#cutReason !== undefined) return
    this.#options.record.identityAsserted(this.#options.identityMode)
  }

  onHead(status: number, headers: UpstreamResponseHeaders): void {
    if (status >= 100 && status < 200) {
      this.#interimResponses += 1
      if (this.#interimResponses > MAX_INTERIM_RESPONSES) {
        throw unusableResponse('the API server sent too many interim (1xx) responses')
      }
      return
    }
    if (this.#settled) return
    const { ownHeaders, auditID, info, isConnect, isLongRunning, record } = this.#options
    checkAuditID(headers, auditID)
    checkResponse(status, headers, isConnect)
    this.#pendingStatus = status
    this.#pendingHead = responseHeaders(headers, ownHeaders)
    if (isLongRunning) {
      const type = headers['content-type']
      this.#frames = createResponseFrames(typeof type === 'string' ? type : type?.[0])
      this.#notice = responseNotice(info, status, headers)
    }
    if (record.holdsResponse) {
      void this.#hold(status)
      return
    }
    if (!isLongRunning) return
    this.#sendHead()
    this.#options.exchange.response.flushHead()
  }

  onData(chunk: Buffer, giveBack?: () => void): void {
    if (this.#settled || this.#isComplete) {
      giveBack?.()
      return
    }
    if (this.#held !== undefined) {
      const hasRoom = this.#held.add(chunk, giveBack)
      // Not before: the end of a connection that is paused is not seen.
      if (!hasRoom) this.#control?.pause()
      return
    }
    if (this.#status === 0 && !this.#trySendHead()) {
      giveBack?.()
      return
    }
    this.#deliver(chunk, giveBack)
  }

  #deliver(chunk: Buffer, giveBack: (() => void) | undefined): void {
    const frameEnd = this.#frames?.add(chunk) ?? 0
    if (this.#cutReason !== undefined && frameEnd > 0) {
      this.#write(chunk.subarray(0, frameEnd), giveBack)
      this.#endBetweenFrames(this.#cutReason)
    } else this.#write(chunk, giveBack)
  }

  #write(chunk: Buffer, giveBack: (() => void) | undefined): void {
    const { exchange, window } = this.#options
    const { length } = chunk
    const hasRoom = window.add(length)
    exchange.response.write(chunk, () => {
      giveBack?.()
      this.#taken(length)
    })
    if (hasRoom || this.#isFull) return
    this.#isFull = true
    this.#control?.pause()
  }

  /** The connection to the client has taken bytes, or dropped them. */
  #taken(length: number): void {
    this.#bytesTaken += length
    const hasRoom = this.#options.window.remove(length)
    if (!hasRoom || !this.#isFull || this.#isComplete) return
    this.#isFull = false
    this.#control?.resume()
  }

  onEnd(last?: Buffer): void {
    if (this.#settled || this.#isComplete) return
    if (this.#held !== undefined) {
      this.#held.end(last)
      return
    }
    if (this.#status === 0 && !this.#trySendHead()) return
    const { exchange } = this.#options
    this.#isComplete = true
    clearTimeout(this.#cutTimer)
    this.#isFull = true
    exchange.onClose(() => this.#settle({ code: this.#status }))
    exchange.response.end(last)
  }

  onError(error: Error): void {
    if (this.#settled || this.#isComplete) return
    const { exchange } = this.#options
    if (this.#status === 0) {
      this.#refuse(error instanceof StatusError ? error : toUpstreamError(error))
      return
    }
    // Too late for a Status: the client must see that the response is incomplete.
    exchange.response.destroy(error)
    // A body that turned out to be malformed after an early response.
    const abortedBy = isOfClient(error) ? 'client' : 'upstream'
    this.#settle({ code: this.#status, abortedBy, cause: error.message })
    this.#options.onTruncated(error)
  }

  /** Keeps the response until its event is in the kernel; it is dropped if that fails. */
  async #hold(status: number): Promise<void> {
    const { record, isLongRunning, exchange } = this.#options
    this.#held = new HeldBody()
    record.responseStarted(status)
    const isRecorded = await record.recorded
    if (this.#settled) return
    if (isRecorded !== true) {
      this.#end(new StatusError('ServiceUnavailable', NOT_RECORDED))
      return
    }
    const held = this.#held
    this.#held = undefined
    if (!this.#trySendHead()) return
    try {
      if (isLongRunning) exchange.response.flushHead()
      const hasEnded = held.passOnTo(this)
      if (!hasEnded && !this.#isFull) this.#control?.resume()
    } catch (error) {
      this.onError(error as Error)
      this.#control?.abort(error as Error)
    }
  }

  /** @throws UpstreamError 502 for a head that the client's protocol cannot carry */
  #sendHead(): void {
    const status = this.#pendingStatus
    try {
      this.#options.exchange.response.writeHead(status, this.#pendingHead)
    } catch (error) {
      const { code, message } = error as Error & { code?: string }
      throw unusableResponse(
        "the API server's response cannot be forwarded",
        new Error(`${code ?? ''}: ${message}`),
      )
    }
    this.#status = status
    const { record } = this.#options
    if (!record.holdsResponse) record.responseStarted(status)
  }

  #trySendHead(): boolean {
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
    this.#options.window.close()
    if (this.#stallEntry !== undefined) this.#options.stalls?.remove(this.#stallEntry)
    this.#options.onRefused(error)
    this.#reject(error)
  }

  #settle(outcome: ForwardOutcome): void {
    if (this.#settled) return
    this.#settled = true
    this.#options.window.close()
    clearTimeout(this.#cutTimer)
    if (this.#stallEntry !== undefined) this.#options.stalls?.remove(this.#stallEntry)
    this.#resolve(outcome)
  }
}

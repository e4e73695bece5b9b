/** A request from its `send` to its end, while it waits and while a connection serves it. */
import type { ResponseReceiver, UpstreamControl, UpstreamRequest } from '../transport.ts'

/** What a request may do to the connection that serves it. */
export interface ServingConnection {
  pause(): void
  resume(): void
  fail(error: Error): void
}

/** One request. */
export class RequestInFlight implements UpstreamControl {
  readonly request: UpstreamRequest
  readonly receiver: ResponseReceiver
  /** Why its receiver has given it up; undefined otherwise. */
  abortReason: Error | undefined
  readonly #onDone: () => void
  #isDone = false
  /** Undefined once the request has ended: the connection may serve another user then. */
  #connection: ServingConnection | undefined

  constructor(request: UpstreamRequest, receiver: ResponseReceiver, onDone: () => void) {
    this.request = request
    this.receiver = receiver
    this.#onDone = onDone
  }

  /**
   * A connection is about to serve it.
   *
   * @returns false when its receiver has given it up, so that nothing is to be sent
   */
  begin(connection: ServingConnection): boolean {
    this.receiver.onStart(this)
    if (this.abortReason !== undefined) return false
    this.#connection = connection
    return true
  }

  pause(): void {
    this.#connection?.pause()
  }

  resume(): void {
    this.#connection?.resume()
  }

  abort(reason: Error): void {
    this.abortReason ??= reason
    this.#connection?.fail(reason)
  }

  /** Ends it; the receiver is called once, whatever comes later. */
  end(last: Buffer | undefined): void {
    if (this.#done()) this.receiver.onEnd(last)
  }

  fail(error: Error): void {
    if (this.#done()) this.receiver.onError(error)
  }

  #done(): boolean {
    if (this.#isDone) return false
    this.#isDone = true
    this.#connection = undefined
    this.#onDone()
    return true
  }
}

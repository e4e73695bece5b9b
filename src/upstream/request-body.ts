/**
 * A client's request body on its way to the API server. It never touches the client's own stream but to
 * pause and resume it, so that a client whose upload fails still gets its response.
 */
import type { BodyReceiver, Exchange } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

export interface RequestBody {
  /** Whether the next bytes are wanted, which the client has to send. */
  readonly waitsForClient: boolean
  /** Begins to receive the body; called once. `onEnd` or `onError` is called once, last. */
  receive(receiver: BodyReceiver): void
  pause(): void
  resume(): void
  /** Nothing more is wanted: the rest is dropped, so that it does not block the client's next request. */
  discard(): void
}

export interface RequestBodyEffects {
  /**
   * Called before the receiver's `onError`, so that the error does not count as an upstream failure; not
   * called for a body that is not valid HTTP, whose client still gets its 400.
   */
  readonly onClientGone: (error: Error) => void
  /** Called when the first of it is wanted: the request has a connection. */
  readonly onBegin: () => void
  /** Called once, when the body has ended in whatever way. */
  readonly onDone: () => void
}

/** Creates the body of a request; nothing is received yet. */
export function createRequestBody(exchange: Exchange, effects: RequestBodyEffects): RequestBody {
  return new ClientBody(exchange, effects)
}

class ClientBody implements RequestBody, BodyReceiver {
  readonly #exchange: Exchange
  readonly #effects: RequestBodyEffects
  #receiver: BodyReceiver | undefined
  #isPaused = false
  #isDone = false

  constructor(exchange: Exchange, effects: RequestBodyEffects) {
    this.#exchange = exchange
    this.#effects = effects
  }

  get waitsForClient(): boolean {
    return this.#receiver !== undefined && !this.#isPaused && !this.#isDone
  }

  receive(receiver: BodyReceiver): void {
    this.#receiver = receiver
    this.#effects.onBegin()
    this.#exchange.receiveBody(this)
  }

  pause(): void {
    if (this.#isDone || this.#isPaused) return
    this.#isPaused = true
    this.#exchange.pauseBody()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#exchange.resumeBody()
  }

  discard(): void {
    this.#done()
    if (this.#receiver !== undefined) this.#exchange.resumeBody()
  }

  onData(chunk: Buffer): void {
    if (!this.#isDone) this.#receiver?.onData(chunk)
  }

  onEnd(): void {
    if (this.#isDone) return
    this.#done()
    this.#receiver?.onEnd()
  }

  onError(error: Error): void {
    if (this.#isDone) return
    this.#done()
    if (!(error instanceof StatusError)) this.#effects.onClientGone(error)
    this.#receiver?.onError(error)
  }

  #done(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#effects.onDone()
  }
}

/**
 * A client's request body as the Readable that undici needs, without giving undici the client's own
 * stream to destroy. It errors when the client closes early, so that the upstream connection, on which
 * fewer bytes were sent than announced, is destroyed and never reused.
 */
import { Readable } from 'node:stream'

import type { Exchange } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

export interface RequestBody extends Readable {
  /** Whether undici waits for more of the body, which the client has to send. */
  readonly waitsForClient: boolean
}

export interface RequestBodyEffects {
  /**
   * Called before the body errors, so that the error does not count as an upstream failure; not called
   * for a body that is not valid HTTP, whose client still gets its 400.
   */
  readonly onClientGone: (error: Error) => void
  /** Called when the first of it is wanted: the request has a connection. */
  readonly onBegin: (body: RequestBody) => void
}

export function createRequestBody(exchange: Exchange, effects: RequestBodyEffects): RequestBody {
  return new ClientBody(exchange, effects)
}

class ClientBody extends Readable implements RequestBody {
  readonly #exchange: Exchange
  readonly #effects: RequestBodyEffects
  #started = false
  #wanted = false

  constructor(exchange: Exchange, effects: RequestBodyEffects) {
    super({ highWaterMark: 65_536 })
    this.#exchange = exchange
    this.#effects = effects
  }

  get waitsForClient(): boolean {
    return this.#wanted && !this.destroyed
  }

  override _read(): void {
    const exchange = this.#exchange
    this.#wanted = true
    if (this.#started) {
      exchange.resumeBody()
      return
    }
    this.#started = true
    this.#effects.onBegin(this)
    exchange.receiveBody({
      onData: (chunk) => {
        if (this.destroyed || this.push(chunk)) return
        this.#wanted = false
        exchange.pauseBody()
      },
      onEnd: () => {
        this.#wanted = false
        if (!this.destroyed) this.push(null)
      },
      onError: (error) => {
        if (!(error instanceof StatusError)) this.#effects.onClientGone(error)
        this.destroy(error)
      },
    })
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // The rest of an unused body must not block the client's next request.
    if (this.#started) this.#exchange.resumeBody()
    callback(error)
  }
}

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

/**
 * @param onClientGone called before the body errors, so that the error does not count as an upstream
 * failure; not called for a body that is not valid HTTP, whose client still gets its 400
 */
export function createRequestBody(
  exchange: Exchange,
  onClientGone: (error: Error) => void,
): RequestBody {
  return new ClientBody(exchange, onClientGone)
}

class ClientBody extends Readable implements RequestBody {
  readonly #exchange: Exchange
  readonly #onClientGone: (error: Error) => void
  #started = false
  #wanted = false

  constructor(exchange: Exchange, onClientGone: (error: Error) => void) {
    super({ highWaterMark: 65_536 })
    this.#exchange = exchange
    this.#onClientGone = onClientGone
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
        if (!(error instanceof StatusError)) this.#onClientGone(error)
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

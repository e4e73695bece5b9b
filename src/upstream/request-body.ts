/**
 * A client's request body as the Readable that undici wants, without giving undici the client's own
 * stream to destroy. It errors when the client leaves early, so that the upstream connection, on
 * which fewer bytes were sent than announced, is destroyed and never used again.
 */
import { Readable } from 'node:stream'

import type { Exchange } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

export interface RequestBody extends Readable {
  /** Whether more of the body is wanted, and it is the client that has to send it. */
  readonly waitsForClient: boolean
}

/**
 * @param onClientGone told before the body errors, so that what follows is not taken for a failure of
 * the API server; not of a body that is no valid HTTP, whose client still gets its 400
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
    // The rest of an unwanted body must not stay stuck in front of the client's next request.
    if (this.#started) this.#exchange.resumeBody()
    callback(error)
  }
}

/**
 * A transport behind a fair queue. Requests wait here, not in the HTTP client below: that one never has
 * more requests than the queue has places.
 */
import type { FairQueue, Waiter, Waiting } from './fair-queue.ts'
import type { UpstreamResponseHeaders } from './response-headers.ts'
import { StatusError } from '../status.ts'
import type { ResponseReceiver, Transport, UpstreamControl, UpstreamRequest } from './transport.ts'

export interface FairTransportOptions {
  readonly transport: Transport
  /** May be shared by several transports. */
  readonly queue: FairQueue
  /**
   * How long a request holds its place: until its response has been received, or only until it has a
   * connection, for streams.
   */
  readonly holds: 'response' | 'start'
}

/** Creates the transport. What it is closed with, it passes on when no request waits any more. */
export function createFairTransport({ transport, queue, holds }: FairTransportOptions): Transport {
  const leavesAtStart = holds === 'start'
  return {
    send(request, receiver) {
      const turn = new Turn(request, receiver, queue, transport, leavesAtStart)
      turn.enter()
    },
    async close() {
      await queue.whenNoneWaits()
      await transport.close()
    },
    async destroy() {
      queue.refuseAll(new StatusError('ServiceUnavailable', 'Gatehouse is shutting down'))
      await transport.destroy()
    },
  }
}

/** One request, from its entry into the queue until it gives its place back. */
class Turn implements Waiter, ResponseReceiver, UpstreamControl {
  readonly #request: UpstreamRequest
  readonly #receiver: ResponseReceiver
  readonly #queue: FairQueue
  readonly #transport: Transport
  readonly #leavesAtStart: boolean
  #waiting: Waiting | undefined
  #hasPlace = false

  constructor(
    request: UpstreamRequest,
    receiver: ResponseReceiver,
    queue: FairQueue,
    transport: Transport,
    leavesAtStart: boolean,
  ) {
    this.#request = request
    this.#receiver = receiver
    this.#queue = queue
    this.#transport = transport
    this.#leavesAtStart = leavesAtStart
  }

  /** @throws StatusError when too many requests wait */
  enter(): void {
    this.#waiting = this.#queue.enter(this.#request.user, this)
    if (this.#waiting === undefined) this.start()
    // Until the transport has a control of its own: a request that waits can be aborted.
    else this.#receiver.onWait(this)
  }

  start(): void {
    this.#waiting = undefined
    this.#hasPlace = true
    try {
      this.#transport.send(this.#request, this)
    } catch (error) {
      this.onError(error as Error)
    }
  }

  refuse(error: StatusError): void {
    this.#waiting = undefined
    this.#receiver.onError(error)
  }

  pause(): void {
    // Nothing arrives while the request waits.
  }

  resume(): void {
    // As for `pause`.
  }

  /** Ends the wait. Later, the transport's control is the one to use. */
  abort(reason: Error): void {
    if (this.#waiting?.cancel() === true) this.#receiver.onError(reason)
    this.#waiting = undefined
  }

  onWait(control: UpstreamControl): void {
    this.#receiver.onWait(control)
  }

  onStart(control: UpstreamControl): void {
    if (this.#leavesAtStart) this.#leave()
    this.#receiver.onStart(control)
  }

  onHead(status: number, headers: UpstreamResponseHeaders): void {
    this.#receiver.onHead(status, headers)
  }

  onData(chunk: Buffer, giveBack?: () => void): void {
    this.#receiver.onData(chunk, giveBack)
  }

  onEnd(last?: Buffer): void {
    this.#leave()
    this.#receiver.onEnd(last)
  }

  onError(error: Error): void {
    this.#leave()
    this.#receiver.onError(error)
  }

  #leave(): void {
    if (!this.#hasPlace) return
    this.#hasPlace = false
    this.#queue.leave()
  }
}

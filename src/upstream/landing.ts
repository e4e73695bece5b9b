/**
 * Reads a socket into memory that is used again. Node makes a new buffer for each 16 KB that arrive, and
 * the garbage collector, which does not see how soon they are done with, works several times a second.
 */
import type { OnReadOpts } from 'node:net'
import type { Readable } from 'node:stream'

/** A TLS record has at most 16 KB. Behind the bytes that have just arrived are those of other users. */
const LANDING = Buffer.allocUnsafeSlow(16_384)

/**
 * Until `deliverTo` is called, and while bytes from before wait in it, the socket is read as any other.
 */
export class Landing {
  /** An option of the socket. */
  readonly onread: OnReadOpts
  #socket: Readable | undefined
  #receiver: ((bytes: Buffer) => void) | undefined

  constructor() {
    this.onread = { buffer: LANDING, callback: (length) => this.#received(length) }
  }

  /** The socket that was created with the option. */
  attach(socket: Readable): void {
    this.#socket = socket
  }

  /** @param receiver must copy the bytes, which are overwritten once it returns */
  deliverTo(receiver: (bytes: Buffer) => void): void {
    this.#receiver = receiver
  }

  /** Returns false when nothing more should be read. */
  #received(length: number): boolean {
    const socket = this.#socket
    if (socket === undefined || socket.destroyed) return false
    const bytes = LANDING.subarray(0, length)
    if (this.#receiver === undefined || socket.readableLength > 0) {
      return socket.push(Buffer.from(bytes))
    }
    this.#receiver(bytes)
    return true
  }
}

/**
 * How much of a response may wait for its client. Node's own mark of 64 KB stops the API server's side
 * with every piece of a large response; this window lets one piece be sent while the next one arrives.
 */

/** Bytes that may wait for one client, and for all together before the others get the smaller window. */
const WINDOW = 524_288
const ALL_WINDOWS = 67_108_864
const SMALL_WINDOW = 65_536

export interface ClientWindow {
  /** Counts bytes that were written. Returns false when nothing more should be. */
  add(bytes: number): boolean
  /** Counts bytes that were sent or dropped. Returns whether there is room for more. */
  remove(bytes: number): boolean
  /** The exchange has ended: what was not taken does not count any more. */
  close(): void
}

/** Creates the windows of all clients; the function opens one. */
export function createClientWindows(): () => ClientWindow {
  const all = { bytes: 0 }
  return () => new Window(all)
}

class Window implements ClientWindow {
  /** Of all clients. */
  readonly #all: { bytes: number }
  #own = 0
  #isClosed = false

  constructor(all: { bytes: number }) {
    this.#all = all
  }

  get #limit(): number {
    return this.#all.bytes > ALL_WINDOWS ? SMALL_WINDOW : WINDOW
  }

  add(bytes: number): boolean {
    if (this.#isClosed) return true
    this.#own += bytes
    this.#all.bytes += bytes
    return this.#own < this.#limit
  }

  remove(bytes: number): boolean {
    if (this.#isClosed) return true
    this.#own -= bytes
    this.#all.bytes -= bytes
    return this.#own <= this.#limit / 2
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#all.bytes -= this.#own
  }
}

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
  let all = 0
  return () => {
    let own = 0
    let isClosed = false
    const limit = (): number => (all > ALL_WINDOWS ? SMALL_WINDOW : WINDOW)
    return {
      add(bytes) {
        if (isClosed) return true
        own += bytes
        all += bytes
        return own < limit()
      },
      remove(bytes) {
        if (isClosed) return true
        own -= bytes
        all -= bytes
        return own <= limit() / 2
      },
      close() {
        if (isClosed) return
        isClosed = true
        all -= own
      },
    }
  }
}

/**
 * Ends exchanges whose client has stopped. One that neither reads its answer nor sends the rest of
 * its body holds a connection of the pool, and none of undici's timers runs while it waits. A look at
 * all of them now and then costs an exchange next to nothing; a timer each would cost more.
 */

/** Looks within the bound: what has not moved for all of them has stood still for at least that long. */
const LOOKS = 4

export interface Stallable {
  /** Body bytes both ways so far. */
  readonly bytesMoved: number
  /** False while it is the API server's turn, whose own timeouts hold. */
  readonly waitsForClient: boolean
  /** Kept by `Stalls`: index in the list, -1 when not in it; bytes at the last look; looks without any. */
  readonly position: { place: number; bytes: number; looks: number }
  /** Ends it, which takes it out. */
  stall(): void
}

export interface Stalls {
  add(exchange: Stallable): void
  /** Nothing happens when it is not in the list. */
  remove(exchange: Stallable): void
  readonly size: number
  close(): void
}

/** @param timeout milliseconds without a byte; each ends at most half as much later */
export function createStalls(timeout: number): Stalls {
  const list: Stallable[] = []
  const timer = setInterval(look, Math.max(1, timeout / LOOKS))
  timer.unref()

  function look(): void {
    // Backwards: one that ends is replaced by the last, which has been looked at.
    for (let i = list.length - 1; i >= 0; i -= 1) {
      const exchange = list[i]
      if (exchange !== undefined && standsStill(exchange)) exchange.stall()
    }
  }

  return {
    add(exchange) {
      const { position } = exchange
      if (position.place !== -1) return
      position.place = list.length
      list.push(exchange)
    },
    remove({ position }) {
      const { place } = position
      if (place === -1) return
      position.place = -1
      const last = list.pop()
      if (last === undefined || last.position === position) return
      last.position.place = place
      list[place] = last
    },
    get size() {
      return list.length
    },
    close() {
      clearInterval(timer)
    },
  }
}

function standsStill({ bytesMoved, waitsForClient, position }: Stallable): boolean {
  const still = waitsForClient && bytesMoved === position.bytes
  position.bytes = bytesMoved
  position.looks = still ? position.looks + 1 : 0
  // The first look only takes the measure.
  return position.looks > LOOKS
}

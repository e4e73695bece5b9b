/**
 * Ends exchanges whose client has stalled. A client that neither reads its response nor sends the
 * rest of its body holds a connection of the pool, whose own timers do not run meanwhile. One
 * periodic check of all exchanges costs next to nothing each; a timer each would cost more.
 */
import { createSwapList, type SwapListEntry } from '../swap-list.ts'

/** Checks per timeout: an exchange without progress in all of them has stalled for at least that long. */
const CHECKS = 4

export interface Stallable {
  /** Body bytes in both directions so far. */
  readonly bytesMoved: number
  /** False while Gatehouse waits for the API server, for which there are other timeouts. */
  readonly waitsForClient: boolean
  /** Ends the exchange; called at every check until the exchange is removed. */
  stall(): void
}

interface Watched {
  readonly exchange: Stallable
  /** `bytesMoved` at the last check. */
  bytes: number
  /** Checks in a row without progress. */
  idleChecks: number
}

export type StallEntry = SwapListEntry<Watched>

export interface Stalls {
  add(exchange: Stallable): StallEntry
  /** Does nothing when the entry was removed already. */
  remove(entry: StallEntry): void
  readonly size: number
  close(): void
}

export interface StallsOptions {
  /** Milliseconds without progress; an exchange ends at most half as much later. */
  readonly timeout: number
}

export interface StallsEffects {
  /** An exchange could not be ended, which is a fault in Gatehouse. */
  readonly onStallFailed: (error: Error) => void
}

/** Starts the periodic check; nothing is checked yet. */
export function createStalls({ timeout }: StallsOptions, { onStallFailed }: StallsEffects): Stalls {
  const list = createSwapList<Watched>()
  const timer = setInterval(check, Math.max(1, timeout / CHECKS))
  timer.unref()

  function check(): void {
    for (const entry of list.snapshot()) {
      if (entry.isRemoved || !hasStalled(entry.value)) continue
      try {
        entry.value.exchange.stall()
      } catch (error) {
        // The others are checked all the same.
        onStallFailed(error as Error)
      }
    }
  }

  return {
    add: (exchange) => list.add({ exchange, bytes: 0, idleChecks: 0 }),
    remove: (entry) => list.remove(entry),
    get size() {
      return list.size
    },
    close() {
      clearInterval(timer)
    },
  }
}

function hasStalled(watched: Watched): boolean {
  const { bytesMoved, waitsForClient } = watched.exchange
  const isIdle = waitsForClient && bytesMoved === watched.bytes
  watched.bytes = bytesMoved
  watched.idleChecks = isIdle ? watched.idleChecks + 1 : 0
  // The first check only records the count.
  return watched.idleChecks > CHECKS
}

/**
 * Runs what has to wait until everything that has arrived was read: one `setImmediate` for all
 * connections, since the event loop reads all sockets before it comes to that.
 */

export interface TurnEndListener {
  /** Must not throw. */
  onTurnEnd(): void
}

/** Returns a function that calls a listener back once, at the end of this turn of the event loop. */
export function createTurnEnd(): (listener: TurnEndListener) => void {
  let listeners: TurnEndListener[] = []

  function run(): void {
    const current = listeners
    listeners = []
    for (const listener of current) {
      try {
        listener.onTurnEnd()
      } catch (error) {
        // The others must not wait for ever; the process ends, as for any exception.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  return (listener) => {
    if (listeners.push(listener) === 1) setImmediate(run)
  }
}

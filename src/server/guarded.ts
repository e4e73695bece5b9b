/**
 * What node calls for a client runs in a guard: an exception there is the end of that client's
 * connection, told in the log, and never the end of the process with everybody else's connections.
 */
import type { Log } from '../log.ts'

/** A socket, a session: what is given up. */
export interface Destroyable {
  destroy(): unknown
}

/** Wraps the callbacks of one connection. */
export type Guard = <A extends readonly unknown[]>(
  callback: (...args: A) => void,
) => (...args: A) => void

/**
 * Wraps a callback of many connections; the result never throws.
 *
 * @param connectionOf finds the connection in the callback's first two arguments
 */
export function guarded<A extends readonly unknown[]>(
  log: Log,
  callback: (...args: A) => void,
  connectionOf: (first: A[0], second: A[1]) => Destroyable,
): (...args: A) => void {
  return (...args) => {
    try {
      callback(...args)
    } catch (error) {
      log.error({ err: error }, 'a client connection failed unexpectedly and is closed')
      giveUp(log, () => connectionOf(args[0], args[1]))
    }
  }
}

/** The guard of one connection, which is destroyed when a callback throws. */
export function createGuard(log: Log, connection: Destroyable): Guard {
  return (callback) => guarded(log, callback, () => connection)
}

function giveUp(log: Log, connectionOf: () => Destroyable): void {
  try {
    connectionOf().destroy()
  } catch (error) {
    log.error({ err: error }, 'a client connection could not be closed')
  }
}

/**
 * What node calls for a client runs in a guard: an exception there is the end of that client's
 * connection, told in the log and counted, and never the end of the process with everybody else's connections.
 */
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'

/** A socket, a session: what is given up. */
export interface Destroyable {
  destroy(): unknown
}

export interface GuardEffects {
  readonly log: Log
  readonly metrics: Metrics
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
  { log, metrics }: GuardEffects,
  callback: (...args: A) => void,
  connectionOf: (first: A[0], second: A[1]) => Destroyable,
): (...args: A) => void {
  return (...args) => {
    try {
      callback(...args)
    } catch (error) {
      metrics.connectionsRefused.inc({ reason: 'exception' })
      log.error({ err: error }, 'a client connection failed unexpectedly and is closed')
      giveUp(log, () => connectionOf(args[0], args[1]))
    }
  }
}

/** The guard of one connection, which is destroyed when a callback throws. */
export function createGuard(effects: GuardEffects, connection: Destroyable): Guard {
  return (callback) => guarded(effects, callback, () => connection)
}

function giveUp(log: Log, connectionOf: () => Destroyable): void {
  try {
    connectionOf().destroy()
  } catch (error) {
    log.error({ err: error }, 'a client connection could not be closed')
  }
}

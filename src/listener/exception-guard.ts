/**
 * Callbacks of node run in a guard: an exception there closes that client's connection, and is logged
 * and counted. It never ends the process, and with it the connections of all other clients.
 */
import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'

/** What is closed: a socket or a session. */
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
 * Wraps a callback that serves many connections; the result never throws.
 *
 * @param connectionOf returns the connection from the callback's first two arguments
 */
export function guarded<A extends readonly unknown[]>(
  callback: (...args: A) => void,
  connectionOf: (first: A[0], second: A[1]) => Destroyable,
  { log, metrics }: GuardEffects,
): (...args: A) => void {
  return (...args) => {
    try {
      callback(...args)
    } catch (error) {
      metrics.connectionsRefused.inc({ reason: 'exception' })
      throttledLog(log).error({ err: error }, 'unexpected error on a client connection; closing it')
      destroy(() => connectionOf(args[0], args[1]), log)
    }
  }
}

/** The guard of one connection, which is destroyed when a callback throws. */
export function createGuard(connection: Destroyable, effects: GuardEffects): Guard {
  const connectionOf = (): Destroyable => connection
  return (callback) => guarded(callback, connectionOf, effects)
}

function destroy(connectionOf: () => Destroyable, log: Log): void {
  try {
    connectionOf().destroy()
  } catch (error) {
    throttledLog(log).error({ err: error }, 'a client connection could not be closed')
  }
}

/** Connections that a bound turned away are counted, and told with an address to look for. */
import { createLogThrottle } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { AcceptRefusal } from './accepted-sockets.ts'
import { canonicalAddress } from './client-connection.ts'

/** Milliseconds; a flood may not fill the log, and the metric has every one. */
const TELL_EVERY = 60_000

export interface RefusedConnectionsEffects {
  readonly log: Log
  readonly metrics: Metrics
  /** Milliseconds of a clock that only goes forward. */
  readonly now?: () => number
}

/** Their clients see a connection that was reset, and nothing of them is in the audit log. */
export function createRefusedConnections(
  effects: RefusedConnectionsEffects,
): (reason: AcceptRefusal | 'evicted', address: string) => void {
  const { log, metrics, now } = effects
  const tells = createLogThrottle({ interval: TELL_EVERY, lines: 1, now })
  return (reason, address) => {
    metrics.connectionsRefused.inc({ reason })
    const suppressed = tells(reason)
    if (suppressed === undefined) return
    const more = suppressed > 0 ? { suppressed } : {}
    const told = { reason, address: canonicalAddress(address), ...more }
    log.warn(told, 'client connections are refused: a bound is reached')
  }
}

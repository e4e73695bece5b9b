/** Counts and logs connections that are refused because of a limit. */
import { createLogThrottle } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { AcceptRefusal } from './accepted-sockets.ts'
import { canonicalAddress } from './client-connection.ts'

/** A flood must not fill the log; the metric counts every connection. */
const LOG_INTERVAL_MS = 60_000

export interface RefusedConnectionsEffects {
  readonly log: Log
  readonly metrics: Metrics
  /** Monotonic milliseconds. */
  readonly now?: () => number
}

/** The client sees a connection reset, and the audit log has no event. */
export function createRefusedConnections(
  effects: RefusedConnectionsEffects,
): (
  reason: AcceptRefusal | 'evicted' | 'pending_handshakes' | 'unauthenticated_bytes',
  address: string,
) => void {
  const { log, metrics, now } = effects
  const throttle = createLogThrottle({ interval: LOG_INTERVAL_MS, lines: 1 }, { now })
  return (reason, address) => {
    metrics.connectionsRefused.inc({ reason })
    const suppressed = throttle(reason)
    if (suppressed === undefined) return
    const fields = { reason, address: canonicalAddress(address) }
    log.warn(
      suppressed > 0 ? { ...fields, suppressed } : fields,
      'refusing client connections: limit reached',
    )
  }
}

/** The interface between the listener and the servers of the two protocols. */
import type { ClientConnection, Exchange } from '../http/exchange.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'

export interface ListenerEffects {
  readonly log: Log
  readonly metrics: Metrics
  /** Handles a request; never throws. */
  readonly handle: (exchange: Exchange) => void
  /** Records malformed input, to which a response has already been sent. */
  readonly onMalformed: (connection: ClientConnection, code: number, reason: string) => void
}

/** A connection as its protocol's server sees it. */
export interface ServedConnection {
  /** Finishes the requests that run, and takes no new ones. */
  retire(): void
  /** Whether no request of an authenticated user runs. */
  isIdle(): boolean
  /**
   * `performance.now()` when it became idle; undefined while a request runs, or when the protocol's
   * server enforces the idle timeout itself.
   */
  idleSince(): number | undefined
  /** Bytes received that belong to no request of an authenticated user, and may still be kept. */
  unauthenticatedBytes(): number
}

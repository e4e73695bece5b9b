/** What the listener and the servers of the two protocols know of each other. */
import type { ClientConnection, Exchange } from '../http/exchange.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'

export interface ListenerEffects {
  readonly log: Log
  readonly metrics: Metrics
  /** The life of a request; never rejects. */
  readonly handle: (exchange: Exchange) => void
  /** A head that is no HTTP; answered already, to be recorded. */
  readonly onMalformed: (connection: ClientConnection, code: number, reason: string) => void
}

/** What a protocol's server knows of a connection that it serves. */
export interface ServedConnection {
  /** Finish what runs, take nothing new. */
  retire(): void
  /** Whether no request of a user that is known runs. */
  isIdle(): boolean
  /** Since when, by `performance.now()`; undefined when a request runs, or when it looks itself. */
  idleSince(): number | undefined
}

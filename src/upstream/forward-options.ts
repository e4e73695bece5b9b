import type { Authorized } from '../authorization/authorizer.ts'
import type { Exchange, RawHeaders } from '../http/exchange.ts'
import type { Target } from '../request/types.ts'
import type { StatusError } from '../status.ts'
import type { ForwardRecord } from './forward-record.ts'

/** One authorized request, to be forwarded. */
export interface ForwardOptions {
  readonly exchange: Exchange
  readonly authorized: Authorized
  readonly target: Target
  readonly auditID: string
  /** Gatehouse's own response headers. */
  readonly ownHeaders: RawHeaders
  readonly record: ForwardRecord
  /** Called with a function that ends the exchange, for shutdown and reloads. */
  readonly onCut?: (cut: (reason: StatusError) => void) => void
}

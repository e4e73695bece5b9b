/** Refuses what a client requests in a header and Gatehouse does not support, instead of ignoring it. */
import type { Exchange } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

/**
 * Refuses `kubectl --as`: if the header were ignored, the request would run as the user who sent it.
 *
 * @throws StatusError 403
 */
export function refuseImpersonation(header: string | undefined): void {
  if (header === undefined) return
  throw new StatusError(
    'Forbidden',
    'impersonation through Gatehouse is not allowed: leave out --as, --as-group and --as-uid ' +
      `(the request carries ${JSON.stringify(header)})`,
  )
}

/**
 * RFC 9110 section 10.1.1 defines one expectation; others are refused.
 *
 * @throws StatusError 417
 */
export function refuseOtherExpectations(exchange: Exchange): void {
  const expect = exchange.header('expect')
  if (expect === undefined || expect.toLowerCase() === '100-continue') return
  throw new StatusError('ExpectationFailed', 'the only supported expectation is 100-continue', {
    closeConnection: true,
  })
}

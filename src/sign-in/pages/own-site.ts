import type { InspectedHeaders } from '../../http/inspect.ts'
import { StatusError } from '../../status.ts'

type OriginHeaders = Pick<InspectedHeaders, 'origin' | 'fetchSite'>

/**
 * Refuses a form that another site has submitted (CSRF). Every browser sends `Sec-Fetch-Site` (W3C Fetch
 * Metadata) or, with a POST, `Origin`.
 *
 * @param own the origin of the pages
 * @throws StatusError 403
 */
export function requireOwnSite({ origin, fetchSite }: OriginHeaders, own: string): void {
  const isOwnSite = fetchSite === undefined ? origin !== undefined : fetchSite === 'same-origin'
  if (isOwnSite && (origin === undefined || origin === own)) return
  throw new StatusError('Forbidden', 'this form was not submitted from a page of this Gatehouse', {
    closeConnection: true,
  })
}

/** Whether another site has sent the browser here; false for a link of the pages, or an address that was typed. */
export function isFromOtherSite({ fetchSite }: OriginHeaders): boolean {
  return fetchSite !== undefined && fetchSite !== 'same-origin' && fetchSite !== 'none'
}

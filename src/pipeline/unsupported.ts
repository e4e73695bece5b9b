/** Refuses what a client requests and Gatehouse does not support, instead of ignoring it. */
import type { Exchange } from '../http/exchange.ts'
import type { RequestInfo, Target } from '../request/types.ts'
import { StatusError } from '../status.ts'

/**
 * Refuses `kubectl --as`: if the header were ignored, the request would run as the user who sent it.
 *
 * @throws StatusError 403
 */
export function refuseImpersonation(header: string): never {
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

/** RFC 6750 section 2.3, and what other servers read. Names are compared unescaped, in lower case. */
const CREDENTIAL_PARAMETERS: ReadonlySet<string> = new Set(['access_token', 'id_token', 'token'])

/**
 * Refuses a credential in the query: Gatehouse does not read it, and behind Gatehouse it may mean
 * somebody else, or end up in a log. The query behind a proxy subresource belongs to the backend.
 *
 * @throws StatusError 400
 */
export function refuseQueryCredential({ rawQuery }: Target, { subresource }: RequestInfo): void {
  if (rawQuery === '' || subresource === 'proxy' || !/token|%/i.test(rawQuery)) return
  for (const pair of rawQuery.split('&')) {
    const name = unescapeName(pair.split('=', 1)[0] ?? '')
    if (!CREDENTIAL_PARAMETERS.has(name.toLowerCase())) continue
    throw new StatusError(
      'BadRequest',
      `the query must not contain a credential (${name}): send it as "Authorization: Bearer TOKEN"`,
    )
  }
}

function unescapeName(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

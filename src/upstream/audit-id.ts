import { UpstreamError } from './errors.ts'
import type { UpstreamResponseHeaders } from './response-headers.ts'

/** The response to another request: nothing that the connection carries can be trusted. */
export class ForeignResponseError extends UpstreamError {
  constructor() {
    super(
      'protocol',
      'BadGateway',
      'the API server sent the response to another request; ' +
        'this request may or may not have been carried out',
      { cause: new Error('the Audit-ID of the response is not that of the request') },
    )
    this.name = 'ForeignResponseError'
  }
}

/**
 * Checks that a response belongs to the request. Over HTTP/1.1 only the order says so: one response
 * too many, from the API server or something in between, would move every later one to another user.
 * kube-apiserver returns the `Audit-ID` of the request (apiserver/pkg/endpoints/filters/audit_init.go).
 * Without the header there is nothing to compare: on a 101 and on errors of Go's `net/http`. Of several
 * values, the first is that of the API server.
 *
 * @throws ForeignResponseError 502; the connection must then be destroyed
 */
export function checkAuditID(headers: UpstreamResponseHeaders, auditID: string): void {
  const value = headers['audit-id']
  if (value === undefined) return
  const first = typeof value === 'string' ? firstOf(value) : firstOf(value[0] ?? '')
  if (first === auditID) return
  throw new ForeignResponseError()
}

/** Node joins the values of a field that it does not know. */
function firstOf(value: string): string {
  const comma = value.indexOf(',')
  return comma === -1 ? value : value.slice(0, comma).trim()
}

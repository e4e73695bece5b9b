import type { ClientConnection, ClientRequest } from '../http/exchange.ts'

/** Placeholder request for the audit record of malformed input, or of a summary of refusals. */
export function malformedRequest(connection: ClientConnection): ClientRequest {
  return {
    protocol: 'HTTP/1.1',
    method: '',
    rawTarget: '',
    authority: undefined,
    rawHeaders: [],
    connection,
    isUpgrade: false,
    contentLength: undefined,
    hasBody: false,
  }
}

import type { ClientConnection, ClientRequest } from '../http/exchange.ts'

/** In place of a request, for the record of what was none: malformed bytes, a summary. */
export function noRequest(connection: ClientConnection): ClientRequest {
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

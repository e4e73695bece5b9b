/** Plain HTTP on the TLS port, the response to which is kube-apiserver's. */
import type { Socket } from 'node:net'

import { endAndDiscard } from './http1-early-bytes.ts'

export const PLAIN_HTTP_MESSAGE = 'Client sent an HTTP request to an HTTPS server.'

/** How many bytes decide; a TLS record's header has as many. */
const DECISIVE_BYTES = 5

/** As `tlsRecordHeaderLooksLikeHTTP` of Go's net/http, and the other methods of Kubernetes' clients. */
const STARTS = new Set(['GET /', 'HEAD ', 'POST ', 'PUT /', 'OPTIO', 'PATCH', 'DELET'])

/** Whether a connection begins with HTTP; undefined as long as too few bytes have arrived. */
export function isPlainHttp(bytes: Buffer): boolean | undefined {
  const first = bytes[0] ?? 0
  // No TLS record begins with a letter, so only such input is worth waiting for.
  if (first < 0x41 || first > 0x5a) return bytes.length === 0 ? undefined : false
  if (bytes.length < DECISIVE_BYTES) return undefined
  return STARTS.has(bytes.toString('latin1', 0, DECISIVE_BYTES))
}

/** Responds as Go's server does, byte for byte, and closes the connection. */
export function refusePlainHttp(socket: Socket): void {
  endAndDiscard(socket, `HTTP/1.0 400 Bad Request\r\n\r\n${PLAIN_HTTP_MESSAGE}\n`)
}

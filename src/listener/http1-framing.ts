/** Framing checks of HTTP/1.1 requests, where node's parser is too lenient for a proxy. */
import type { IncomingMessage } from 'node:http'

/**
 * Finds what llhttp accepts and a proxy must refuse (RFC 9112 sections 3.2 and 6.3): a transfer coding
 * other than exactly `chunked`, a length beyond the safe integers, or a missing `Host`. Undefined when
 * the framing is valid.
 */
export function framingProblem(message: IncomingMessage): string | undefined {
  const coding = message.headers['transfer-encoding']
  const length = message.headers['content-length']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return 'the only supported transfer coding is chunked'
  }
  if (coding !== undefined && length !== undefined) {
    return 'Content-Length and Transfer-Encoding must not be sent together'
  }
  if (length !== undefined && !Number.isSafeInteger(Number(length))) {
    return 'Content-Length is too large'
  }
  if (message.httpVersion !== '1.1') return 'HTTP/1.1 or HTTP/2 is required'
  if (message.headers.host === undefined) return 'the Host header is missing'
  return undefined
}

/**
 * Finds an upgrade request with a body: one parser would read the following bytes as the body, another
 * as the new protocol. Undefined when there is none.
 */
export function upgradeProblem({ headers }: IncomingMessage): string | undefined {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
    ? 'an upgrade request must not have a body'
    : undefined
}

/** Framing of HTTP/1.1 requests, where node's parser is more lenient than a proxy may be. */
import type { IncomingMessage } from 'node:http'

/**
 * What llhttp lets through and a proxy must not (RFC 9112 sections 3.2 and 6.3): a transfer coding
 * other than exactly `chunked`, a length that no number here holds, or no `Host`. Undefined when
 * the framing is plain.
 */
export function framingProblem(message: IncomingMessage): string | undefined {
  const coding = message.headers['transfer-encoding']
  const length = message.headers['content-length']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return 'the only transfer coding understood is chunked'
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
 * An upgrade request with a body: what follows the head would be body to one reader and the new
 * protocol to another.
 */
export function upgradeProblem({ headers }: IncomingMessage): string | undefined {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
    ? 'an upgrade request must not have a body'
    : undefined
}

import type { IncomingMessage } from 'node:http'

import type { Exchange, RawHeaders } from '../http/exchange.ts'
import { closeWithin } from '../http/response-deadline.ts'
import type { ForwardRecord } from './forward-record.ts'
import type { ForwardOutcome } from './outcome.ts'
import { responseHeaders } from './response-headers.ts'

/** Limits on the response: the size of its body, and the time to receive it and to send it on. */
const MAX_BYTES = 1_048_576
const TIMEOUT_MS = 10_000

/**
 * Relays the response of an API server that refuses an upgrade, within limits; then both connections close.
 *
 * @throws UpstreamError 502 for a head that cannot be forwarded
 */
export function relayUpgradeRefusal(
  message: IncomingMessage,
  {
    exchange,
    record,
    ownHeaders,
  }: {
    readonly exchange: Exchange
    readonly record: ForwardRecord
    readonly ownHeaders: RawHeaders
  },
): Promise<ForwardOutcome> {
  const { response } = exchange
  const status = message.statusCode ?? 502
  response.writeHead(status, [
    ...responseHeaders({ ...message.headers, 'content-length': undefined }, ownHeaders),
    'Connection',
    'close',
  ])
  if (!record.holdsResponse) record.responseStarted(status)
  return new Promise((resolve) => {
    let left = MAX_BYTES
    let aborted = false
    const timer = setTimeout(() => message.destroy(), TIMEOUT_MS)
    message.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) message.destroy()
      else response.write(chunk)
    })
    message.on('error', () => {
      aborted = true
    })
    message.once('close', () => {
      clearTimeout(timer)
      aborted ||= !message.complete
      if (aborted) response.destroy()
      else {
        response.end()
        closeWithin(exchange, TIMEOUT_MS)
      }
      message.socket.destroy()
      resolve({ code: status, ...(aborted ? { abortedBy: 'upstream' as const } : {}) })
    })
  })
}

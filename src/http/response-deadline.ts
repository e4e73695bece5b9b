import type { Exchange } from './exchange.ts'

/**
 * Aborts an exchange if its client has not read the rest of the response in time. A client that sends
 * requests and does not read is never idle, so it would hold the connection forever. Over HTTP/1.1 the
 * connection closes, too; over HTTP/2 only if it is being retired. Call it after `response.end`.
 *
 * @param deadline milliseconds
 */
export function closeWithin(exchange: Exchange, deadline: number): void {
  const timer = setTimeout(() => {
    exchange.response.destroy()
  }, deadline)
  timer.unref()
  exchange.onClose(() => clearTimeout(timer))
}

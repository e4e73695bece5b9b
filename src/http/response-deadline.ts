/** How long an answer that is complete on this side may wait for its client to take it. */
import type { Exchange } from './exchange.ts'

/**
 * Breaks an exchange off when its client has not taken the rest of the answer in time: who asks and
 * does not read is never idle, and would hold the connection for ever. Over HTTP/1.1 the connection
 * ends as well, over HTTP/2 when it is retired. To be called once the answer has been ended.
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

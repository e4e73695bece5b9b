/**
 * A client's request body as the Readable that undici wants, without giving undici the client's own
 * stream to destroy. It errors when the client leaves early, so that the upstream connection, on
 * which fewer bytes were sent than announced, is destroyed and never used again.
 */
import { Readable } from 'node:stream'

import type { Exchange } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

/**
 * @param onClientGone told before the body errors, so that what follows is not taken for a failure of
 * the API server; not of a body that is no valid HTTP, whose client still gets its 400
 */
export function createRequestBody(
  exchange: Exchange,
  onClientGone: (error: Error) => void,
): Readable {
  let started = false
  const body = new Readable({
    highWaterMark: 65_536,
    read() {
      if (started) {
        exchange.resumeBody()
        return
      }
      started = true
      exchange.receiveBody({
        onData(chunk) {
          if (!body.destroyed && !body.push(chunk)) exchange.pauseBody()
        },
        onEnd() {
          if (!body.destroyed) body.push(null)
        },
        onError(error) {
          if (!(error instanceof StatusError)) onClientGone(error)
          body.destroy(error)
        },
      })
    },
    destroy(error, callback) {
      // The rest of an unwanted body must not stay stuck in front of the client's next request.
      if (started) exchange.resumeBody()
      callback(error)
    },
  })
  return body
}

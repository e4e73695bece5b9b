import type { Exchange } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

const MAX_BODY_BYTES = 16_384
/** For the whole body. */
const BODY_DEADLINE_MS = 10_000

/**
 * Reads a small request body of a handler of Gatehouse's own.
 *
 * @throws StatusError 400 for a body that is too large, takes too long or ends early; its connection is
 * not used again
 */
export function readBody(exchange: Exchange): Promise<Buffer> {
  const { contentLength = 0 } = exchange.request
  if (contentLength > MAX_BODY_BYTES) return Promise.reject(tooLarge())
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    let isDone = false
    const end = (settle: () => void): void => {
      if (isDone) return
      isDone = true
      clearTimeout(timer)
      settle()
    }
    const timer = setTimeout(() => {
      end(() => reject(invalid('did not arrive in time')))
    }, BODY_DEADLINE_MS)
    exchange.receiveBody({
      onData(chunk) {
        if (isDone) return
        bytes += chunk.length
        if (bytes > MAX_BODY_BYTES) end(() => reject(tooLarge()))
        else chunks.push(Buffer.from(chunk))
      },
      onEnd: () => end(() => resolve(Buffer.concat(chunks))),
      onError: (error) => {
        end(() => reject(error instanceof StatusError ? error : invalid('ended early')))
      },
    })
  })
}

function tooLarge(): StatusError {
  return invalid(`is larger than ${MAX_BODY_BYTES} bytes`)
}

function invalid(problem: string): StatusError {
  return new StatusError('BadRequest', `the request body ${problem}`, { closeConnection: true })
}

import type { Exchange } from '../../http/exchange.ts'
import { StatusError } from '../../status.ts'

/** A logout token has a few claims. */
const MAX_BODY_BYTES = 16_384
const TIMEOUT_MS = 10_000
const FORM = 'application/x-www-form-urlencoded'

/**
 * Reads the form that a request carries.
 *
 * Rejects with StatusError 400 for another content type, or a body that is too large or does not come.
 */
export async function readForm(exchange: Exchange): Promise<URLSearchParams> {
  const [type = ''] = (exchange.header('content-type') ?? '').split(';', 1)
  if (type.trim().toLowerCase() !== FORM) throw refusal(`the body must be of the type ${FORM}`)
  if ((exchange.request.contentLength ?? 0) > MAX_BODY_BYTES) throw tooLarge()
  return new URLSearchParams((await readBody(exchange)).toString('utf8'))
}

function readBody(exchange: Exchange): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const timer = setTimeout(() => reject(refusal('the body did not arrive in time')), TIMEOUT_MS)
    exchange.receiveBody({
      onData(chunk) {
        length += chunk.length
        if (length <= MAX_BODY_BYTES) chunks.push(chunk)
        else reject(tooLarge())
      },
      onEnd() {
        clearTimeout(timer)
        resolve(Buffer.concat(chunks))
      },
      onError(error) {
        clearTimeout(timer)
        reject(refusal('the body did not arrive', error))
      },
    })
  })
}

function tooLarge(): StatusError {
  return refusal(`the body is larger than ${MAX_BODY_BYTES} bytes`)
}

function refusal(message: string, cause?: Error): StatusError {
  return new StatusError('BadRequest', message, { cause, closeConnection: true })
}

import type { Exchange } from '../http/exchange.ts'
import { StatusError } from '../status.ts'
import { readBody } from './read-body.ts'

const FORM = 'application/x-www-form-urlencoded'

/**
 * Reads the form that a request carries.
 *
 * Rejects with StatusError 400 for another content type, or a body that is too large or does not come.
 */
export async function readForm(exchange: Exchange): Promise<URLSearchParams> {
  const [type = ''] = (exchange.header('content-type') ?? '').split(';', 1)
  if (type.trim().toLowerCase() !== FORM) {
    throw new StatusError('BadRequest', `the body must be of the type ${FORM}`, {
      closeConnection: true,
    })
  }
  return new URLSearchParams((await readBody(exchange)).toString('utf8'))
}

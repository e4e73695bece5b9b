import type { Exchange } from '../../http/exchange.ts'
import { StatusError } from '../../status.ts'
import { readBody } from '../read-body.ts'

/** The fields of the form: a text, and a file in place of it. */
export const TEXT_FIELD = 'request'
export const FILE_FIELD = 'file'
/** A form with a file (RFC 7578). */
const MULTIPART = 'multipart/form-data'

/**
 * Reads the one text that a form of the pages carries, pasted or as a file.
 *
 * @throws StatusError 400 for another form, a body that is too large, no text, or two
 */
export async function readUpload(exchange: Exchange): Promise<string> {
  const type = exchange.header('content-type') ?? ''
  if (!type.toLowerCase().startsWith(`${MULTIPART};`)) {
    throw refusal(`the body must be of the type ${MULTIPART}`)
  }
  const form = await parsed(await readBody(exchange), type)
  const texts = await Promise.all(
    [TEXT_FIELD, FILE_FIELD].flatMap((name) => form.getAll(name)).map(textOf),
  )
  const [text, ...more] = texts.filter((each) => each !== '')
  if (text === undefined) {
    throw refusal('the form has no certificate request: paste one, or choose a file')
  }
  if (more.length > 0) {
    throw refusal('the form has two certificate requests: paste one or choose a file, not both')
  }
  return text
}

async function parsed(body: Buffer, type: string): Promise<FormData> {
  const response = new Response(new Uint8Array(body), { headers: { 'content-type': type } })
  try {
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- of a stream, it would keep any length
    return await response.formData()
  } catch {
    throw refusal('the form cannot be parsed')
  }
}

/** A browser sends a file without a name where none was chosen. */
async function textOf(entry: File | string): Promise<string> {
  return (typeof entry === 'string' ? entry : await entry.text()).trim()
}

function refusal(message: string): StatusError {
  return new StatusError('BadRequest', message, { closeConnection: true })
}

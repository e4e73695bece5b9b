import type { z } from 'zod'

import { describeIssues } from '../config/issues.ts'
import { fieldName } from '../config/path.ts'
import type { Exchange } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

const MAX_BODY_BYTES = 16_384
const BODY_DEADLINE_MS = 10_000

/**
 * Reads a small JSON body and checks it.
 *
 * @throws StatusError 400 for another type, a body that is too large, late or not valid, naming every
 * problem
 */
export async function readJson<S extends z.ZodType>(
  exchange: Exchange,
  schema: S,
): Promise<z.output<S>> {
  const type = exchange.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json' || exchange.request.isUpgrade) {
    throw badBody('the body must be JSON, with Content-Type: application/json', exchange)
  }
  const raw = parse(await readBody(exchange))
  const result = schema.safeParse(raw)
  if (result.success) return result.data
  const problems = describeIssues(result.error.issues, schema, raw).map(
    ({ path, message, fix }) => `${[fieldName(path), message].filter(Boolean).join(' ')} (${fix})`,
  )
  throw new StatusError('BadRequest', problems.join('; '))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new StatusError('BadRequest', 'the body is not valid JSON')
  }
}

function readBody(exchange: Exchange): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const fail = (message: string): void => {
      clearTimeout(timer)
      reject(badBody(message, exchange))
    }
    const timer = setTimeout(() => fail('the body did not arrive in time'), BODY_DEADLINE_MS)
    if (!exchange.request.hasBody) {
      fail('the request has no body')
      return
    }
    exchange.receiveBody({
      onData(chunk) {
        size += chunk.length
        if (size > MAX_BODY_BYTES) fail(`the body is larger than ${MAX_BODY_BYTES} bytes`)
        else chunks.push(chunk)
      },
      onEnd() {
        clearTimeout(timer)
        resolve(Buffer.concat(chunks).toString())
      },
      onError: () => fail('the body broke off'),
    })
  })
}

function badBody(message: string, { request }: Exchange): StatusError {
  return new StatusError('BadRequest', message, { closeConnection: request.hasBody })
}

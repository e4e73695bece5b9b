import type { z } from 'zod'

import { describeIssues } from '../config/issues.ts'
import { fieldName } from '../config/path.ts'
import type { Exchange } from '../http/exchange.ts'
import { StatusError } from '../status.ts'
import { readBody } from './read-body.ts'

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
  if (!exchange.request.hasBody) throw badBody('the request has no body', exchange)
  const raw = parse((await readBody(exchange)).toString())
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

function badBody(message: string, { request }: Exchange): StatusError {
  return new StatusError('BadRequest', message, { closeConnection: request.hasBody })
}

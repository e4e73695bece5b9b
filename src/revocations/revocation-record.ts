/** A revocation as it is kept in Redis: sealed, since nobody else may write one or learn what it is about. */
import { z } from 'zod'

import type { RecordSealer } from '../state/sealed-record.ts'
import type { Revocation } from './revocation.ts'

const record = z.strictObject({
  key: z.string(),
  before: z.number().optional(),
  until: z.number(),
  event: z.string(),
})

const contextOf = (field: string): string => `revocation ${field}`

/** @param field of the hash, to which the record is bound */
export function sealRevocation(one: Revocation, field: string, records: RecordSealer): string {
  return records.seal(JSON.stringify(one), contextOf(field))
}

/** Undefined for whatever Gatehouse has not written there. */
export function openRevocation(
  sealed: string,
  field: string,
  records: RecordSealer,
): Revocation | undefined {
  const text = records.open(sealed, contextOf(field))
  if (text === undefined) return undefined
  const parsed = record.safeParse(JSON.parse(text))
  if (!parsed.success) return undefined
  const { before, ...rest } = parsed.data
  return { ...rest, before }
}

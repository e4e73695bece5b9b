/** A lock as it is kept in Redis: sealed, since nobody else may read or write it. */
import { z } from 'zod'

import type { RecordSealer } from '../state/sealed-record.ts'
import { LOCK_TARGETS, type Lock } from './lock.ts'

const record = z.strictObject({
  target: z.enum(LOCK_TARGETS),
  name: z.string(),
  reason: z.string(),
  until: z.int().optional(),
  actor: z.string(),
})

const contextOf = (field: string): string => `lock ${field}`

/** @param field of the hash, to which the record is bound */
export function sealLock(lock: Lock, field: string, records: RecordSealer): string {
  return records.seal(JSON.stringify(lock), contextOf(field))
}

/** Undefined for whatever Gatehouse has not written there. */
export function openLock(sealed: string, field: string, records: RecordSealer): Lock | undefined {
  const text = records.open(sealed, contextOf(field))
  if (text === undefined) return undefined
  const parsed = record.safeParse(JSON.parse(text))
  if (!parsed.success) return undefined
  const { until, ...rest } = parsed.data
  return { ...rest, until }
}

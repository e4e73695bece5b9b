/**
 * The version of the locks in Redis: sealed, with a number that grows with each change and a digest of all
 * records. Whoever writes to Redis can therefore not remove a lock unnoticed, and neither can a Redis that
 * comes back with earlier data.
 */
import { createHash } from 'node:crypto'

import { z } from 'zod'

import type { RecordSealer } from '../state/sealed-record.ts'

/** Sealed records by the field of the hash. */
export type LockRecords = ReadonlyMap<string, string>

const manifest = z.strictObject({ sequence: z.int().min(1), digest: z.string() })

const CONTEXT = 'locks version'

/**
 * Seals the version of these records.
 *
 * @param sequence greater than that of every earlier version
 */
export function sealManifest(sequence: number, all: LockRecords, records: RecordSealer): string {
  return records.seal(JSON.stringify({ sequence, digest: digestOf(all) }), CONTEXT)
}

/** The number of a version, if Gatehouse has written it with exactly these records. */
export function sequenceOf(
  version: string,
  all: LockRecords,
  records: RecordSealer,
): number | undefined {
  const text = records.open(version, CONTEXT)
  if (text === undefined) return undefined
  const parsed = manifest.safeParse(JSON.parse(text))
  return parsed.data?.digest === digestOf(all) ? parsed.data.sequence : undefined
}

function digestOf(all: LockRecords): string {
  const sorted = [...all].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(sorted)).digest('base64url')
}

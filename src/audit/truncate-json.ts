import { jsonMembers } from './json-members.ts'
import { truncate } from './redaction.ts'

/** The most bytes that one UTF-16 unit is written with: `\u202e`. */
const MAX_UNIT_BYTES = 6
const QUOTES = 2

/**
 * Cuts a text so that what is written of it has no more than `bytes` bytes, quotes and the mark of
 * the cut aside. A bound in characters would be six times as many in a text of escapes.
 */
export function truncateJson(text: string, bytes: number): string {
  const written = Buffer.byteLength(jsonMembers([text.slice(0, bytes)])) - QUOTES
  return truncate(text, written <= bytes ? bytes : Math.floor(bytes / MAX_UNIT_BYTES))
}

import { jsonMembers } from './json-members.ts'
import { truncate } from './redaction.ts'

/** The maximum number of bytes that one UTF-16 unit takes in JSON: `\u202e`. */
export const MAX_UNIT_BYTES = 6
const QUOTES = 2

/**
 * Truncates a text so that it takes at most `bytes` bytes as JSON, not counting the quotes and the
 * truncation mark. A limit in characters could be exceeded sixfold by a text that is escaped.
 */
export function truncateJson(text: string, bytes: number): string {
  const written = Buffer.byteLength(jsonMembers([text.slice(0, bytes)])) - QUOTES
  return truncate(text, written <= bytes ? bytes : Math.floor(bytes / MAX_UNIT_BYTES))
}

/** JSON that every parser reads in the same way. */

export type JsonObject = Readonly<Record<string, unknown>>

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * A string, with the colon that follows if it is a member name. Each alternative consumes input, so
 * matching is linear.
 */
const STRING_OR_NAME = /"(?:[^"\\]|\\.)*"([ \t\n\r]*:)?/g

/**
 * Parses bytes as a JSON object. Parsers differ in which of two members with the same name they use
 * (RFC 8259 section 4), so duplicate names are refused at any depth. Throws an Error for bytes that
 * are not UTF-8, not JSON or not an object.
 */
export function parseJsonObject(bytes: Uint8Array): JsonObject {
  const text = decoder.decode(bytes)
  const value: unknown = JSON.parse(text)
  if (!isJsonObject(value)) throw new TypeError('not a JSON object')
  if (countNames(text) !== countMembers(value)) {
    throw new TypeError('an object has two members with the same name')
  }
  return value
}

/** Whether a parsed value is an object: not null, and not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns an own member; inherited properties such as `constructor` do not count. */
export function ownMember(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

function countNames(validJson: string): number {
  let count = 0
  for (const [, colon] of validJson.matchAll(STRING_OR_NAME)) if (colon !== undefined) count++
  return count
}

/** Counts the members that parsing kept; duplicates make them fewer than the names in the text. */
function countMembers(value: unknown): number {
  let count = 0
  const pending: unknown[] = [value]
  while (pending.length > 0) {
    const next = pending.pop()
    if (Array.isArray(next)) pending.push(...(next as unknown[]))
    else if (isJsonObject(next)) {
      const members = Object.values(next)
      count += members.length
      pending.push(...members)
    }
  }
  return count
}

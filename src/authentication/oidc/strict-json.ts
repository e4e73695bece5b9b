/** JSON whose meaning does not depend on who reads it. */

export type JsonObject = Readonly<Record<string, unknown>>

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A string, and the colon that makes it a member's name. Every alternative consumes: linear. */
const STRING_OR_NAME = /"(?:[^"\\]|\\.)*"([ \t\n\r]*:)?/g

/**
 * Parses bytes as a JSON object. Readers differ in which of two members of the same name they take
 * (RFC 8259 section 4), so such an object is refused, at any depth. Throws an Error for bytes that
 * are no UTF-8, no JSON or no object.
 */
export function parseJsonObject(bytes: Uint8Array): JsonObject {
  const text = decoder.decode(bytes)
  const value: unknown = JSON.parse(text)
  if (!isJsonObject(value)) throw new TypeError('not a JSON object')
  if (countNames(text) !== countMembers(value)) {
    throw new TypeError('a member name stands twice in one object')
  }
  return value
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member of the object's own; what it inherits (`constructor`) is no member. */
export function ownMember(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

function countNames(validJson: string): number {
  let count = 0
  for (const [, colon] of validJson.matchAll(STRING_OR_NAME)) if (colon !== undefined) count++
  return count
}

/** Members that survived parsing; fewer than the text's names when one of them stood twice. */
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

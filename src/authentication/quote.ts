/** Values are cut at this length, in characters; names of issuers and audiences are shorter. */
const MAX_LENGTH = 200

/**
 * Quotes an untrusted value for refusals and the audit record: escaped to printable ASCII, so that
 * it cannot forge lines or change the text direction, and cut to a limit, which adds `…`. Of a value
 * that is not a string it gives the type only.
 */
export function quote(value: unknown): string {
  if (typeof value !== 'string') return typeName(value)
  const isCut = value.length > MAX_LENGTH
  const shown = JSON.stringify(isCut ? value.slice(0, MAX_LENGTH) : value)
  return `${shown.replace(/[^\x20-\x7e]/g, escaped)}${isCut ? '…' : ''}`
}

function typeName(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Longest value that is quoted, in characters; names of issuers and audiences are shorter. */
const MAX_LENGTH = 200

/**
 * Somebody's value for the audit record: in quotes, bounded, and in ASCII whatever it holds, so that
 * neither lines nor the direction of writing can be forged with it. What is no string is only named.
 */
export function quote(value: unknown): string {
  if (typeof value !== 'string') return nameOf(value)
  const isCut = value.length > MAX_LENGTH
  const shown = JSON.stringify(isCut ? value.slice(0, MAX_LENGTH) : value)
  return `${shown.replace(/[^\x20-\x7e]/g, escaped)}${isCut ? '…' : ''}`
}

function nameOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

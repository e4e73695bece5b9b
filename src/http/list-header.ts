/**
 * Splits the values of a header that is a list (RFC 9110 section 5.6.1), one for each field line, into its
 * items, without the optional whitespace around each. Optional whitespace is space and tab only: what
 * `String.prototype.trim` removes as well, such as U+00A0, is part of an item.
 */
export function listItems(values: readonly string[]): string[] {
  return values.flatMap((value) => value.split(',').map(withoutWhitespace))
}

/** A loop, since a regular expression would take quadratic time for blanks within an item. */
function withoutWhitespace(item: string): string {
  let start = 0
  let end = item.length
  while (start < end && isWhitespace(item.charCodeAt(start))) start += 1
  while (end > start && isWhitespace(item.charCodeAt(end - 1))) end -= 1
  return item.slice(start, end)
}

function isWhitespace(unit: number): boolean {
  return unit === 0x20 || unit === 0x09
}

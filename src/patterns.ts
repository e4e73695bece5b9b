/**
 * Compiles a list of patterns to a predicate: a text matches when one of the patterns is equal to it,
 * or ends in `*` and the text starts with the rest. A list without patterns matches nothing.
 */
export function compilePatterns(patterns: readonly string[]): (text: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !pattern.endsWith('*')))
  const prefixes = patterns
    .filter((pattern) => pattern.endsWith('*'))
    .map((pattern) => pattern.slice(0, -1))
  return (text) => {
    if (exact.has(text)) return true
    for (const prefix of prefixes) if (text.startsWith(prefix)) return true
    return false
  }
}

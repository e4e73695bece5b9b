/**
 * Names of fields that are not identifiers, as Kubernetes escapes them in expressions (apiserver
 * pkg/cel/escaping.go): `claims.example__dot__com` is the claim `example.com`.
 */

const ESCAPE = /__([^_]+)__/g

const SYMBOLS: ReadonlyMap<string, string> = new Map([
  ['underscores', '__'],
  ['dot', '.'],
  ['dash', '-'],
  ['slash', '/'],
])

const RESERVED: ReadonlySet<string> = new Set([
  ...['true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function'],
  ...['if', 'import', 'let', 'loop', 'package', 'namespace', 'return', 'var', 'void', 'while'],
])

/** Undefined if it contains an escape sequence that Kubernetes does not define. */
export function unescapeName(escaped: string): string | undefined {
  if (!escaped.includes('__')) return escaped
  const parts = Array.from(escaped.matchAll(ESCAPE), ([sequence, content = '']) => {
    const isWhole = sequence.length === escaped.length
    // A reserved word is escaped only as a whole name.
    return SYMBOLS.get(content) ?? (RESERVED.has(content) && isWhole ? content : undefined)
  })
  if (parts.includes(undefined)) return undefined
  return escaped.replace(ESCAPE, () => parts.shift() ?? '')
}

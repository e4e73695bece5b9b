/** The part of apimachinery's `fields.ParseSelector` (pkg/fields/selector.go) that RequestInfo needs. */

/** In the order in which they are tried at each place: `==` must not be taken for `=`. */
const OPERATORS = ['!=', '==', '='] as const

interface Term {
  readonly field: string
  readonly operator: (typeof OPERATORS)[number]
  readonly value: string
}

/**
 * What `ParseSelector(selector).RequiresExactMatch(field)` answers: the value that the field must
 * equal, `''` when none is required, undefined when the selector cannot be parsed. Of several terms
 * the first in byte order counts, since Go sorts them.
 */
export function requiredExactMatch(selector: string, field: string): string | undefined {
  let first: { readonly text: string; readonly value: string } | undefined
  for (const text of splitTerms(selector)) {
    if (text === '') continue
    const term = parseTerm(text)
    if (term === undefined) return undefined
    if (term.field !== field || term.operator === '!=') continue
    if (first === undefined || bytesBefore(text, first.text)) first = { text, value: term.value }
  }
  return first?.value ?? ''
}

/** Splits at commas that no backslash escapes; the backslashes stay. */
function splitTerms(selector: string): string[] {
  const terms: string[] = []
  let start = 0
  for (let i = 0; i < selector.length; i++) {
    const character = selector[i]
    if (character === '\\') i++
    else if (character === ',') {
      terms.push(selector.slice(start, i))
      start = i + 1
    }
  }
  terms.push(selector.slice(start))
  return terms
}

function parseTerm(text: string): Term | undefined {
  for (let i = 0; i < text.length; i++) {
    const operator = OPERATORS.find((candidate) => text.startsWith(candidate, i))
    if (operator === undefined) continue
    const value = unescapeValue(text.slice(i + operator.length))
    return value === undefined ? undefined : { field: text.slice(0, i), operator, value }
  }
  return undefined
}

/** `\\`, `\,` and `\=` are escapes, other backslashes and bare `,` or `=` are errors. */
function unescapeValue(text: string): string | undefined {
  if (!/[\\,=]/.test(text)) return text
  return /^(?:[^\\,=]|\\[\\,=])*$/.test(text) ? text.replaceAll(/\\(.)/g, '$1') : undefined
}

/** Go compares the bytes of UTF-8, JavaScript UTF-16: they differ above U+FFFF. */
function bytesBefore(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0
}

/**
 * The part of apimachinery's `fields.ParseSelector` (pkg/fields/selector.go) that RequestInfo uses.
 */

interface Term {
  readonly field: string
  readonly isEquality: boolean
  readonly value: string
}

/**
 * Returns what `ParseSelector(selector).RequiresExactMatch(field)` returns: the value that the field
 * must equal, `''` when none is required, undefined when the selector cannot be parsed. If several
 * terms match, the first in byte order counts, since Go sorts them.
 */
export function requiredExactMatch(selector: string, field: string): string | undefined {
  if (selector === '') return ''
  let first: { readonly text: string; readonly value: string } | undefined
  for (const text of splitTerms(selector)) {
    if (text === '') continue
    const term = parseTerm(text)
    if (term === undefined) return undefined
    if (!term.isEquality || term.field !== field) continue
    if (first === undefined || isBefore(text, first.text)) first = { text, value: term.value }
  }
  return first?.value ?? ''
}

/** Splits at unescaped commas and keeps the backslashes. */
function splitTerms(selector: string): string[] {
  if (!selector.includes('\\')) return selector.split(',')
  const terms: string[] = []
  let start = 0
  for (let at = 0; at < selector.length; at++) {
    const character = selector[at]
    if (character === '\\') at++
    else if (character === ',') {
      terms.push(selector.slice(start, at))
      start = at + 1
    }
  }
  terms.push(selector.slice(start))
  return terms
}

/** Splits a term at its first operator: `!=`, `==` or `=`. */
function parseTerm(text: string): Term | undefined {
  const equals = text.indexOf('=')
  if (equals === -1) return undefined
  const isEquality = text[equals - 1] !== '!'
  const valueAt = isEquality && text[equals + 1] === '=' ? equals + 2 : equals + 1
  const value = unescapeValue(text.slice(valueAt))
  if (value === undefined) return undefined
  return { field: text.slice(0, isEquality ? equals : equals - 1), isEquality, value }
}

/** `\\`, `\,` and `\=` are escapes; other backslashes and an unescaped `,` or `=` are errors. */
function unescapeValue(text: string): string | undefined {
  if (!/[\\,=]/.test(text)) return text
  let value = ''
  for (let at = 0; at < text.length; at++) {
    let character = text.charAt(at)
    if (character === ',' || character === '=') return undefined
    if (character === '\\') {
      character = text.charAt(++at)
      if (character !== '\\' && character !== ',' && character !== '=') return undefined
    }
    value += character
  }
  return value
}

/**
 * Go compares bytes of UTF-8, JavaScript compares units of UTF-16. The order differs between
 * surrogates, which encode characters above U+FFFF, and U+E000 to U+FFFF.
 */
function isBefore(a: string, b: string): boolean {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)]
    if (left !== right) return surrogatesLast(left) < surrogatesLast(right)
  }
  return a.length < b.length
}

function surrogatesLast(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit
}

/**
 * Reads query strings as Go does: `url.Values` (net/url) and apimachinery's conversion to booleans.
 */
import { StatusError } from '../status.ts'

/**
 * Returns the first value of each named parameter, as `url.Query()[name][0]`, in the order of
 * `names`. A pair with an unescaped `;` or an invalid escape is dropped, `+` is a space, names are
 * case-sensitive.
 *
 * @param names ASCII letters only
 * @throws StatusError 400 when one of the values is not UTF-8, which `parseTarget` has refused
 * already
 */
export function firstValues<const Names extends readonly string[]>(
  rawQuery: string,
  names: Names,
): { [K in keyof Names]: string | undefined } {
  const values = new Array<string | undefined>(names.length).fill(undefined)
  for (let start = 0; start < rawQuery.length;) {
    const ampersand = rawQuery.indexOf('&', start)
    const end = ampersand === -1 ? rawQuery.length : ampersand
    const nameEnd = endOfName(rawQuery, start, end)
    const index = indexOfName(rawQuery, start, nameEnd, names)
    if (index !== -1 && values[index] === undefined) {
      values[index] = nameEnd === end ? '' : unescapeQuery(rawQuery.slice(nameEnd + 1, end))
    }
    start = end + 1
  }
  return values as { [K in keyof Names]: string | undefined }
}

/**
 * apimachinery's `Convert_Slice_string_To_bool`: `0` and `false` are false, and anything else is
 * true, including the empty string. Case folding is Unicode's: `falſe` (U+017F) is false.
 */
export function isTrue(value: string | undefined): boolean {
  if (value === undefined || value === '0') return false
  return value === 'true' || !/^false$/iu.test(value)
}

/** Index of the `=` of a pair, or the end of the pair. */
function endOfName(rawQuery: string, start: number, end: number): number {
  let at = start
  while (at < end && rawQuery.charCodeAt(at) !== 0x3d) at++
  return at
}

/** Index of a pair's name in `names`, -1 if it is not among them. */
function indexOfName(
  rawQuery: string,
  start: number,
  end: number,
  names: readonly string[],
): number {
  const length = end - start
  for (let index = 0; index < names.length; index++) {
    const name = names[index] ?? ''
    if (name.length === length && rawQuery.startsWith(name, start)) return index
  }
  for (let at = start; at < end; at++) {
    if (rawQuery.charCodeAt(at) === 0x25) return names.indexOf(unescapeName(rawQuery, start, end))
  }
  return -1
}

/** `''`, which matches no parameter, for a name with a non-ASCII byte or an invalid escape. */
function unescapeName(rawQuery: string, start: number, end: number): string {
  const escaped = rawQuery.slice(start, end)
  return /%[89A-Fa-f]/.test(escaped) ? '' : (unescapeQuery(escaped) ?? '')
}

/** `url.QueryUnescape`; undefined if Go drops the pair. */
function unescapeQuery(text: string): string | undefined {
  if (isLiteral(text)) return text
  if (text.includes(';') || /%(?![0-9A-Fa-f]{2})/.test(text)) return undefined
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw new StatusError('BadRequest', 'the query contains escapes that are not UTF-8')
  }
}

function isLiteral(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x25 || code === 0x2b || code === 0x3b) return false
  }
  return true
}

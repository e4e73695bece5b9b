/** Query strings as Go reads them: `url.Values` (net/url) and apimachinery's conversion to booleans. */
import { StatusError } from '../status.ts'

/**
 * The first value of each named parameter, as `url.Query()[name][0]`; absent ones have no key.
 * A pair with a bare `;` or with a bad escape is left out, `+` is a space, names are case-sensitive.
 *
 * @param names in ASCII
 * @throws StatusError 400 when a value asked for is not UTF-8, which `parseTarget` does not let by
 */
export function firstValues<Name extends string>(
  rawQuery: string,
  names: readonly Name[],
): Partial<Record<Name, string>> {
  const values: Partial<Record<Name, string>> = {}
  for (let start = 0; start < rawQuery.length;) {
    const ampersand = rawQuery.indexOf('&', start)
    const end = ampersand === -1 ? rawQuery.length : ampersand
    const pair = rawQuery.slice(start, end)
    start = end + 1
    const equals = pair.indexOf('=')
    const name = nameOf(equals === -1 ? pair : pair.slice(0, equals), names)
    if (name === undefined || values[name] !== undefined) continue
    const value = equals === -1 ? '' : unescapeQuery(pair.slice(equals + 1))
    if (value !== undefined) values[name] = value
  }
  return values
}

/**
 * apimachinery's `Convert_Slice_string_To_bool`: `0` and `false` are false and all else is true, the
 * empty string too. Its `EqualFold` is Unicode's: `falſe` (U+017F) is false.
 */
export function isTrue(value: string | undefined): boolean {
  return value !== undefined && value !== '0' && !/^false$/iu.test(value)
}

function nameOf<Name extends string>(escaped: string, names: readonly Name[]): Name | undefined {
  let text = escaped
  if (escaped.includes('%') || escaped.includes('+')) {
    // Above ASCII it is none of the names, and need not be UTF-8.
    if (/%[89A-Fa-f]/.test(escaped)) return undefined
    const unescaped = unescapeQuery(escaped)
    if (unescaped === undefined) return undefined
    text = unescaped
  }
  for (const name of names) if (name === text) return name
  return undefined
}

/** `url.QueryUnescape`, and undefined where Go drops the pair. */
function unescapeQuery(text: string): string | undefined {
  if (!/[%+;]/.test(text)) return text
  if (text.includes(';') || /%(?![0-9A-Fa-f]{2})/.test(text)) return undefined
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw new StatusError('BadRequest', 'the query holds escapes that are not UTF-8')
  }
}

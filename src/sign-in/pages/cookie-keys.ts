import { fileProblem, type ConfigProblem } from '../../config/problem.ts'
import { readText } from '../../config/read-text.ts'

const KEY_BYTES = 32
/** A key that no cookie uses any more should be removed, and each is tried for a cookie. */
const MAX_KEYS = 8

/** Never empty. The first one encrypts; all decrypt. */
export type CookieKeys = readonly Buffer[]

/**
 * Reads the keys of the cookies: one on each line, 32 bytes in base64. Empty lines, and lines that begin
 * with `#`, are ignored.
 *
 * @param add is called for every problem; then the result is not complete
 */
export function readCookieKeys(file: string, add: (problem: ConfigProblem) => void): CookieKeys {
  const addFault = (message: string, fix: string): void =>
    add(fileProblem(file, message, fix, 'signIn.pages.cookieKeysFile'))
  const text = readText(file, addFault)
  if (text === undefined) return []
  const keys = text.split('\n').flatMap((line, i) => {
    const encoded = line.trim()
    if (encoded === '' || encoded.startsWith('#')) return []
    const key = Buffer.from(encoded, 'base64')
    if (key.length === KEY_BYTES && key.toString('base64') === encoded) return [key]
    addFault(`line ${i + 1} is not a key of 32 bytes in base64`, GENERATE)
    return []
  })
  if (keys.length === 0 && !/^[ \t]*[^#\s]/m.test(text)) addFault('contains no key', GENERATE)
  if (keys.length > MAX_KEYS) {
    addFault(`contains more than ${MAX_KEYS} keys`, 'remove the oldest ones')
  }
  const encodings = keys.map((key) => key.toString('hex'))
  if (new Set(encodings).size < keys.length) {
    addFault('contains a key twice', 'remove one of them')
  }
  return keys
}

const GENERATE = 'write keys as "openssl rand -base64 32" prints them'

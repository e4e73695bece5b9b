/**
 * From the bytes of a request line to one target that can be read in one way only, or a refusal.
 *
 * Accepted is what RFC 3986 section 6.2.2 (syntax-based normalization) would leave as it is: no dot
 * segments, no empty ones, upper-case escapes, nothing escaped that need not be. Beyond that,
 * escapes that would make or hide structure are refused: `/`, `\`, `;`, `%`, control characters.
 * Reserved characters such as `:` may come bare (Go) or escaped (JavaScript, Python, Java): they
 * name the same segment to kube-apiserver, and nothing else.
 *
 * One trailing slash stays: generated clients ask for `/version/`, and a proxied backend is asked
 * for at `…/proxy/`. For resource requests neither RequestInfo nor go-restful's router sees it
 * (both trim). In the RequestInfo of other paths it stays, as kube-apiserver's authorizers see it, so
 * a rule that denies a path must deny it with the slash as well.
 */
import { StatusError } from '../status.ts'
import type { Target } from './types.ts'

/** Bytes; room for the longest script that `kubectl exec -- sh -c` is given in practice. */
export const MAX_TARGET_LENGTH = 65_536

/**
 * Go's own bound (net/url since 1.24.12, CVE-2025-61726): above it a query counts as empty, while an
 * older Go reads it all.
 */
export const MAX_QUERY_PARAMETERS = 10_000

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const ALLOW = [...METHODS].join(', ')

const PLAIN = 1
const SLASH = 2
const PERCENT = 3
const QUERY = 4
const AMPERSAND = 5

const UNRESERVED = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~'

/** RFC 3986 `pchar` without `;`: some servers cut a segment there and others do not. */
const PATH_BYTES = byteTable(
  [UNRESERVED + "!$&'()*+,=:@", PLAIN],
  ['/', SLASH],
  ['%', PERCENT],
  ['?', QUERY],
)

/**
 * RFC 3986 `query` without `;` (Go drops a pair that holds one), and the characters that the WHATWG
 * URL serializer leaves bare but for the backslash.
 */
const QUERY_BYTES = byteTable(
  [UNRESERVED + "!$'()*+,=:@/?[]^`{|}", PLAIN],
  ['%', PERCENT],
  ['&', AMPERSAND],
)

const NEVER_ESCAPED = byteTable([`${UNRESERVED}/\\;%`, PLAIN])

/**
 * Judges a request line. The result's `raw` is `rawTarget` itself: what is forwarded is the string
 * that was judged.
 *
 * @param rawTarget RFC 9112 section 3.2, or `:path`; one character a byte
 * @throws StatusError 405 for CONNECT and TRACE; 400 for another unknown method, for any form but
 * origin-form, and for a target with more than one reading. The message names what is wrong in
 * printable ASCII.
 */
export function parseTarget(method: string, rawTarget: string): Target {
  if (!METHODS.has(method)) throw unservedMethod(method)
  checkForm(rawTarget)

  const { length } = rawTarget
  let segmentStart = 1
  let hasEscape = false
  let end = 1
  for (; end < length; end++) {
    const code = rawTarget.charCodeAt(end)
    // Above ASCII there is no entry, so the last branch refuses.
    const kind = PATH_BYTES[code]
    if (kind === PLAIN) continue
    if (kind === QUERY) break
    if (kind === SLASH) {
      checkSegment(rawTarget, segmentStart, end)
      segmentStart = end + 1
    } else if (kind === PERCENT) {
      checkPathEscape(rawTarget, end)
      hasEscape = true
      end += 2
    } else throw badByte('path', code)
  }
  if (end > segmentStart) checkSegment(rawTarget, segmentStart, end)

  const path = end === length ? rawTarget : rawTarget.slice(0, end)
  return {
    raw: rawTarget,
    path: hasEscape ? decodePath(path) : path,
    rawQuery: end === length ? '' : checkQuery(rawTarget, end + 1),
  }
}

function checkForm(rawTarget: string): void {
  if (rawTarget.length > MAX_TARGET_LENGTH) {
    throw invalid(`it is longer than ${MAX_TARGET_LENGTH} bytes`)
  }
  if (rawTarget.charCodeAt(0) !== 0x2f) throw otherForm(rawTarget)
}

/** Refuses an empty segment and dot segments; encoded dots are refused as escapes. */
function checkSegment(target: string, start: number, end: number): void {
  const length = end - start
  if (length > 2) return
  if (length === 0) throw invalid('the path holds an empty segment ("//")')
  if (target.charCodeAt(start) !== 0x2e) return
  if (length === 1) throw invalid('the path holds the segment "."')
  if (target.charCodeAt(start + 1) === 0x2e) throw invalid('the path holds the segment ".."')
}

function checkPathEscape(target: string, at: number): void {
  const value = escapedByte(target, at)
  if (value === undefined) throw badEscape('path')
  const escape = target.slice(at, at + 3)
  if (value < 0x20 || value === 0x7f) throw invalid(`the path holds ${escape}, a control character`)
  if (NEVER_ESCAPED[value] === PLAIN) {
    throw invalid(
      `the path holds ${escape}, which stands for ${JSON.stringify(String.fromCharCode(value))}`,
    )
  }
  if (escape !== escape.toUpperCase()) {
    throw invalid(`the path holds ${escape}: the digits of an escape are written in upper case`)
  }
}

/** @throws StatusError 400 when the escapes are not UTF-8, or hide a C1 control character */
function decodePath(path: string): string {
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch {
    throw invalid('the path holds escapes that are not UTF-8')
  }
  if (/[\u0080-\u009f]/.test(decoded)) throw invalid('the path holds an escaped control character')
  return decoded
}

/**
 * The query is forwarded as it came, so only what two readers could take differently is refused.
 * Any escape but `%00` is fine: a command of `kubectl exec` may hold newlines.
 */
function checkQuery(target: string, start: number): string {
  let isAscii = true
  let parameters = 1
  for (let at = start; at < target.length; at++) {
    const code = target.charCodeAt(at)
    const kind = QUERY_BYTES[code]
    if (kind === PLAIN) continue
    if (kind === AMPERSAND) parameters++
    else if (kind === PERCENT) {
      const value = escapedByte(target, at)
      if (value === undefined) throw badEscape('query')
      if (value === 0) throw invalid('the query holds %00')
      if (value > 0x7f) isAscii = false
      at += 2
    } else throw badByte('query', code)
  }
  if (parameters > MAX_QUERY_PARAMETERS) {
    throw invalid(`the query has more than ${MAX_QUERY_PARAMETERS} parameters`)
  }
  const rawQuery = target.slice(start)
  // Binary arguments lose nothing: CRI's ExecRequest takes UTF-8 strings only.
  if (!isAscii && !isUtf8(rawQuery)) throw invalid('the query holds escapes that are not UTF-8')
  return rawQuery
}

function isUtf8(escaped: string): boolean {
  try {
    decodeURIComponent(escaped)
    return true
  } catch {
    return false
  }
}

/** The byte that the escape at `at` stands for; undefined when it is none. */
function escapedByte(target: string, at: number): number | undefined {
  const high = hexDigit(target.charCodeAt(at + 1))
  const low = hexDigit(target.charCodeAt(at + 2))
  return high < 0 || low < 0 ? undefined : high * 16 + low
}

/** -1 when it is none; NaN, from beyond the end, is none. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const upper = code & ~0x20
  return upper >= 0x41 && upper <= 0x46 ? upper - 0x37 : -1
}

function byteTable(...kinds: readonly (readonly [characters: string, kind: number])[]): Uint8Array {
  const table = new Uint8Array(128)
  for (const [characters, kind] of kinds) {
    for (const character of characters) table[character.charCodeAt(0)] = kind
  }
  return table
}

function invalid(what: string): StatusError {
  return new StatusError('BadRequest', `invalid request target: ${what}`)
}

function badEscape(part: 'path' | 'query'): StatusError {
  return invalid(`the ${part} holds a "%" that two hexadecimal digits do not follow`)
}

function badByte(part: 'path' | 'query', code: number): StatusError {
  if (code > 0x7e || code < 0x20) {
    const hex = code.toString(16).toUpperCase().padStart(2, '0')
    return invalid(`the ${part} holds the byte 0x${hex} bare`)
  }
  return invalid(`the ${part} holds ${JSON.stringify(String.fromCharCode(code))} bare`)
}

/** RFC 9112 section 3.2 knows four forms; a proxy that is the origin is asked in the first only. */
function otherForm(rawTarget: string): StatusError {
  if (rawTarget === '') return invalid('it is empty')
  if (rawTarget === '*') return invalid('the asterisk-form is not served')
  if (/^[a-z][a-z0-9+.-]{0,31}:\/\//i.test(rawTarget)) {
    return invalid('the absolute-form is not served: it must begin with "/"')
  }
  return invalid('it must begin with "/"')
}

/** RFC 9110 section 15.5.6: methods that are known and not served are 405, with `Allow`. */
function unservedMethod(method: string): StatusError {
  if (method === 'CONNECT' || method === 'TRACE') {
    return new StatusError('MethodNotAllowed', `the method ${method} is not served`, {
      headers: { Allow: ALLOW },
    })
  }
  return new StatusError('BadRequest', `unknown method: known are ${ALLOW}, in upper case`)
}

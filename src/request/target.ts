/**
 * Parses request targets and refuses those that two parsers could read differently.
 *
 * A target is accepted if RFC 3986 section 6.2.2 (syntax-based normalization) would not change it:
 * no dot segments, no empty segments, escapes in upper case, and no unnecessary escapes. Escapes
 * that would create or hide structure are refused as well: `/`, `\`, `;`, `%`, control characters.
 * Reserved characters such as `:` may be unescaped (Go) or escaped (JavaScript, Python, Java):
 * kube-apiserver reads both as the same segment.
 *
 * One trailing slash is accepted: generated clients request `/version/`, and a proxied backend is
 * at `…/proxy/`. In resource requests RequestInfo and go-restful's router both trim it. In the
 * RequestInfo of other paths it stays, as in kube-apiserver's authorizers, so a rule that denies a
 * path must deny the path with the slash too.
 */
import { StatusError } from '../status.ts'
import type { Target } from './types.ts'

/**
 * In bytes: Linux allows 128 KiB for one argument of a command, such as the script of
 * `kubectl exec -- sh -c`. Over HTTP/2, nghttp2 ends the session for a field of more than 64 KiB.
 */
export const MAX_TARGET_LENGTH = 131_072

/**
 * Go's own limit (net/url since 1.24.12, CVE-2025-61726): beyond it Go treats the query as empty,
 * while older versions read all of it.
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

/** RFC 3986 `pchar` without `;`, where some servers split a segment and others do not. */
const PATH_BYTES = byteTable(
  [UNRESERVED + "!$&'()*+,=:@", PLAIN],
  ['/', SLASH],
  ['%', PERCENT],
  ['?', QUERY],
)

/**
 * RFC 3986 `query` without `;` (Go drops a pair that contains one), and the characters that the
 * WHATWG URL serializer leaves unescaped, except the backslash.
 */
const QUERY_BYTES = byteTable(
  [UNRESERVED + "!$'()*+,=:@/?[]^`{|}", PLAIN],
  ['%', PERCENT],
  ['&', AMPERSAND],
)

const NEVER_ESCAPED = byteTable([`${UNRESERVED}/\\;%`, PLAIN])

/**
 * Checks method and target and splits the target. `raw` of the result is `rawTarget` itself, so
 * that the string that was checked is the one that is forwarded.
 *
 * @param rawTarget the request target (RFC 9112 section 3.2) or `:path`, one character per byte
 * @throws StatusError 405 for CONNECT and TRACE; 400 for any other unsupported method, for any form
 * but origin-form, and for a target with more than one reading. The message is printable ASCII.
 */
export function parseTarget(method: string, rawTarget: string): Target {
  if (!METHODS.has(method)) throw unsupportedMethod(method)
  checkForm(rawTarget)

  const { length } = rawTarget
  let segmentStart = 1
  let hasEscape = false
  let end = 1
  for (; end < length; end++) {
    const code = rawTarget.charCodeAt(end)
    // The table has no entries above ASCII, so the last branch refuses those bytes.
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

/** Refuses an empty segment and dot segments; escaped dots are refused as unnecessary escapes. */
function checkSegment(target: string, start: number, end: number): void {
  const length = end - start
  if (length > 2) return
  if (length === 0) throw invalid('the path contains an empty segment ("//")')
  if (target.charCodeAt(start) !== 0x2e) return
  if (length === 1) throw invalid('the path contains the segment "."')
  if (target.charCodeAt(start + 1) === 0x2e) throw invalid('the path contains the segment ".."')
}

function checkPathEscape(target: string, at: number): void {
  const value = escapedByte(target, at)
  if (value === undefined) throw badEscape('path')
  const escape = target.slice(at, at + 3)
  if (value < 0x20 || value === 0x7f) {
    throw invalid(`the path contains ${escape}, a control character`)
  }
  if (NEVER_ESCAPED[value] === PLAIN) {
    throw invalid(
      `the path contains ${escape}, which encodes ${JSON.stringify(String.fromCharCode(value))}`,
    )
  }
  if (escape !== escape.toUpperCase()) {
    throw invalid(
      `the path contains ${escape}: the hexadecimal digits of an escape must be in upper case`,
    )
  }
}

/** @throws StatusError 400 when the escapes are not UTF-8, or encode a C1 control character */
function decodePath(path: string): string {
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch {
    throw invalid('the path contains escapes that are not UTF-8')
  }
  if (/[\u0080-\u009f]/.test(decoded)) {
    throw invalid('the path contains an escaped control character')
  }
  return decoded
}

/**
 * The query is forwarded unchanged, so only queries that two parsers could read differently are
 * refused. Every escape but `%00` is allowed: a command of `kubectl exec` may contain newlines.
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
      if (value === 0) throw invalid('the query contains %00')
      if (value > 0x7f) isAscii = false
      at += 2
    } else throw badByte('query', code)
  }
  if (parameters > MAX_QUERY_PARAMETERS) {
    throw invalid(`the query has more than ${MAX_QUERY_PARAMETERS} parameters`)
  }
  const rawQuery = target.slice(start)
  // This excludes no valid exec command: CRI's ExecRequest carries UTF-8 strings only.
  if (!isAscii && !isUtf8(rawQuery)) throw invalid('the query contains escapes that are not UTF-8')
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

/** The byte that the escape at `at` encodes; undefined when it is not a valid escape. */
function escapedByte(target: string, at: number): number | undefined {
  const high = hexDigit(target.charCodeAt(at + 1))
  const low = hexDigit(target.charCodeAt(at + 2))
  return high < 0 || low < 0 ? undefined : high * 16 + low
}

/** The value of a hexadecimal digit, -1 for anything else, including NaN from beyond the end. */
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
  return invalid(`the ${part} contains a "%" that is not followed by two hexadecimal digits`)
}

function badByte(part: 'path' | 'query', code: number): StatusError {
  if (code > 0x7e || code < 0x20) {
    const hex = code.toString(16).toUpperCase().padStart(2, '0')
    return invalid(`the ${part} contains the unescaped byte 0x${hex}`)
  }
  return invalid(`the ${part} contains an unescaped ${JSON.stringify(String.fromCharCode(code))}`)
}

/**
 * RFC 9112 section 3.2 defines four forms; Gatehouse is the origin to its clients, so only
 * origin-form is valid.
 */
function otherForm(rawTarget: string): StatusError {
  if (rawTarget === '') return invalid('it is empty')
  if (rawTarget === '*') return invalid('the asterisk-form is not supported')
  if (/^[a-z][a-z0-9+.-]{0,31}:\/\//i.test(rawTarget)) {
    return invalid('the absolute-form is not supported: the target must begin with "/"')
  }
  return invalid('it must begin with "/"')
}

/** RFC 9110 section 15.5.6: a known but unsupported method is a 405 with `Allow`. */
function unsupportedMethod(method: string): StatusError {
  if (method === 'CONNECT' || method === 'TRACE') {
    return new StatusError('MethodNotAllowed', `the method ${method} is not supported`, {
      headers: { Allow: ALLOW },
    })
  }
  return new StatusError(
    'BadRequest',
    `unknown method: the supported methods are ${ALLOW}, in upper case`,
  )
}

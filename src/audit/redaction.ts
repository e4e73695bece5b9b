/**
 * Redacts what a client sent before it is logged. Query values are written only for parameters that
 * are known not to carry a secret: not for the command of an exec, for tokens that a client put into
 * the URL, or for parameters of a proxied backend.
 */
import { createHash } from 'node:crypto'

/** Longest `requestURI`, in characters. */
export const MAX_URI_LENGTH = 4_096
/** Longest `userAgent`, in characters. */
export const MAX_USER_AGENT_LENGTH = 1_024

const TRUNCATED = '...TRUNCATED'
const REDACTED = '[redacted]'
/** Hexadecimal digits of a digest: 128 bits. */
const DIGEST_LENGTH = 32

/** Parameters of the API (metav1 and core/v1 `*Options`) whose values are safe and useful to log. */
const SHOWN_PARAMETERS: ReadonlySet<string> = new Set(
  (
    'allowWatchBookmarks container dryRun exclude fieldManager fieldSelector fieldValidation follow ' +
    'force gracePeriodSeconds includeObject insecureSkipTLSVerifyBackend labelSelector limit ' +
    'limitBytes orphanDependents ports pretty previous propagationPolicy resourceVersion ' +
    'resourceVersionMatch sendInitialEvents sinceSeconds sinceTime stderr stdin stdout stream ' +
    'tailLines timeout timeoutSeconds timestamps tty verbose watch'
  ).split(' '),
)

/** Names that consist of words; anything else before a `=` may be part of a secret. */
const PARAMETER_NAME = /^(?=.{1,40}$)[a-z]+(?:[_.-][a-z]+)*$/i

/**
 * A run of characters that may contain a compact JWS (RFC 7515 section 3.1), not only at its start: an
 * escape before the JWS, such as `%3D`, ends in a letter. Matches are searched without a regular
 * expression, so that every input costs only one scan.
 */
const TOKEN_RUN = /[\w.-]{16,}/g

/** Every signed token is longer, in characters: its header has at least 20, a 256-bit signature 43. */
const MIN_TOKEN_LENGTH = 40

/** Some parsers treat `;` as `&`, and `#` ends a query: what follows is not part of the parameter. */
const OTHER_DELIMITER = /[;#]/

/** Where the path may end in a target that was not parsed. */
const PATH_END = /[?;#&=]/

/**
 * Truncates a text to `length` UTF-16 units and marks it as truncated, as kube-apiserver does with
 * user agents (apiserver/pkg/audit/request.go, `maybeTruncateUserAgent`).
 */
export function truncate(text: string, length: number): string {
  return text.length > length ? text.slice(0, length) + TRUNCATED : text
}

/**
 * `requestURI` of a request whose target was parsed: the path as received, without tokens; parameters
 * in their order, with their values if those are safe to log, else `name=[redacted]`.
 */
export function redactTarget(rawTarget: string, rawQuery: string): string {
  const isQueryShown = rawQuery === '' || isShown(rawQuery)
  if (isQueryShown && !mayHoldJws(rawTarget)) return truncate(rawTarget, MAX_URI_LENGTH)
  const path = redactJws(rawTarget.slice(0, rawTarget.length - rawQuery.length))
  return truncate(path + (isQueryShown ? rawQuery : redactQuery(rawQuery)), MAX_URI_LENGTH)
}

/**
 * `requestURI` of a request whose target was refused, so that it is not known which part is the path:
 * everything from the first delimiter on is treated as the query, and userinfo is removed.
 */
export function redactUnparsed(rawTarget: string): string {
  const start = rawTarget.slice(0, MAX_URI_LENGTH + 1)
  const end = start.search(PATH_END)
  const path = (end === -1 ? start : start.slice(0, end))
    .split(/([/\\])/)
    .map(withoutUserinfo)
    .join('')
    .replace(TOKEN_RUN, withoutJws)
  if (end === -1) return truncate(path, MAX_URI_LENGTH)
  const delimiter = start.charAt(end)
  const rest = delimiter === '?' ? redactQuery(start.slice(end + 1)) : REDACTED
  return truncate(path + delimiter + rest, MAX_URI_LENGTH)
}

function withoutUserinfo(part: string): string {
  const at = part.lastIndexOf('@')
  return at === -1 ? part : `${REDACTED}${part.slice(at)}`
}

/** The index of a JSON object in base64url that two dots follow; -1 when there is none. */
function startOfJws(run: string): number {
  const start = run.indexOf('eyJ')
  const first = start === -1 ? -1 : run.indexOf('.', start + 11)
  return first !== -1 && run.includes('.', first + 1) ? start : -1
}

function withoutJws(run: string): string {
  const start = startOfJws(run)
  return start === -1 ? run : run.slice(0, start) + hidden(run.slice(start))
}

/**
 * A token leaves no trace. A name that only looks like one, so that its object would vanish from the
 * audit log, is still known by its digest.
 */
function hidden(text: string): string {
  if (hasJoseHeader(text)) return REDACTED
  return `[sha256:${createHash('sha256').update(text).digest('hex').slice(0, DIGEST_LENGTH)}]`
}

/** Whether the text up to its first dot is a JOSE header: a JSON object in base64url (RFC 7515). */
function hasJoseHeader(text: string): boolean {
  try {
    const json = Buffer.from(text.slice(0, text.indexOf('.')), 'base64url').toString()
    return typeof JSON.parse(json) === 'object'
  } catch {
    return false
  }
}

function mayHoldJws(text: string): boolean {
  return text.length > MIN_TOKEN_LENGTH && text.includes('eyJ')
}

/** Redacts signed tokens (JWS), and writes the digest of what only looks like one. Call it before truncating: a truncated token is not recognized. */
export function redactJws(text: string): string {
  return mayHoldJws(text) ? text.replace(TOKEN_RUN, withoutJws) : text
}

function holdsJws(text: string): boolean {
  return text.includes('eyJ') && (text.match(TOKEN_RUN) ?? []).some((run) => startOfJws(run) !== -1)
}

/** The first `User-Agent` without tokens, truncated as by kube-apiserver; undefined when absent. */
export function userAgentOf(rawHeaders: readonly string[]): string | undefined {
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? ''
    if (name.length === 10 && name.toLowerCase() === 'user-agent') {
      return truncate(redactJws(rawHeaders[at + 1] ?? ''), MAX_USER_AGENT_LENGTH)
    }
  }
  return undefined
}

/**
 * Redacts a value that describes an identity's origin if it looks like a token or its key names a
 * credential.
 */
export function redactIdentityValue(key: string, value: string): string {
  const namesCredential = /(?:token|password|passwd|secret|authorization|cookie|bearer)s?$/i
  return namesCredential.test(key) || holdsJws(value) ? REDACTED : value
}

/** Whether all values are safe to log. Most queries are, and then nothing is copied. */
function isShown(rawQuery: string): boolean {
  if (OTHER_DELIMITER.test(rawQuery) || holdsJws(rawQuery)) return false
  for (let start = 0; start < rawQuery.length;) {
    const ampersand = rawQuery.indexOf('&', start)
    const end = ampersand === -1 ? rawQuery.length : ampersand
    const pair = rawQuery.slice(start, end)
    const equals = pair.indexOf('=')
    if (!SHOWN_PARAMETERS.has(equals === -1 ? pair : pair.slice(0, equals))) return false
    start = end + 1
  }
  return true
}

function redactQuery(rawQuery: string): string {
  let redacted = ''
  let start = 0
  // The limit keeps a query of thousands of parameters from costing more than what is written.
  while (start <= rawQuery.length && redacted.length <= MAX_URI_LENGTH) {
    const ampersand = rawQuery.indexOf('&', start)
    const end = ampersand === -1 ? rawQuery.length : ampersand
    if (start > 0) redacted += '&'
    redacted += redactPair(rawQuery.slice(start, end))
    start = end + 1
  }
  return redacted
}

function redactPair(pair: string): string {
  const equals = pair.indexOf('=')
  const name = equals === -1 ? pair : pair.slice(0, equals)
  if (SHOWN_PARAMETERS.has(name)) {
    const mayHoldSecret = OTHER_DELIMITER.test(pair) || holdsJws(pair)
    return mayHoldSecret ? `${name}=${REDACTED}` : pair
  }
  if (pair === '') return ''
  // Without a name and a value, the whole pair may be a secret, including base64 padding.
  const isNamed = equals !== -1 && /^[^=]/.test(pair.slice(equals + 1)) && PARAMETER_NAME.test(name)
  return isNamed ? `${name}=${REDACTED}` : REDACTED
}

/**
 * What of a client's request may stand in the log. Query values are written only where the
 * parameter is known to carry no secret: commands of exec, tokens that a client put into the URL
 * and whatever a proxied backend takes are not.
 */

/** Longest `requestURI`, in characters. */
const MAX_URI_LENGTH = 4_096
const MAX_USER_AGENT_LENGTH = 1_024

const TRUNCATED = '...TRUNCATED'
const REDACTED = '[redacted]'

/** The parameters of the API (metav1 and core/v1 `*Options`) whose values tell what was asked. */
const SHOWN_PARAMETERS: ReadonlySet<string> = new Set(
  (
    'allowWatchBookmarks container dryRun exclude fieldManager fieldSelector fieldValidation follow ' +
    'force gracePeriodSeconds includeObject insecureSkipTLSVerifyBackend labelSelector limit ' +
    'limitBytes orphanDependents ports pretty previous propagationPolicy resourceVersion ' +
    'resourceVersionMatch sendInitialEvents sinceSeconds sinceTime stderr stdin stdout stream ' +
    'tailLines timeout timeoutSeconds timestamps tty verbose watch'
  ).split(' '),
)

/** Names that are words; anything else in front of a `=` could be half of a secret. */
const PARAMETER_NAME = /^(?=.{1,40}$)[a-z]+(?:[_.-][a-z]+)*$/i

/**
 * What a compact JWS (RFC 7515 section 3.1) can stand in, not only at the beginning: an escape such
 * as `%3D` in front of it ends in a letter. What is found is looked into without a regex, so that no
 * input costs more than one scan.
 */
const TOKEN_RUN = /[\w.-]{16,}/g

/** No signed token is shorter, in characters: its header alone has 20, a signature of 256 bits 43. */
const MIN_TOKEN_LENGTH = 40

/** Some readers take `;` for `&`, and `#` ends a query: what follows is another parameter. */
const OTHER_DELIMITER = /[;#]/

/** Where something else than a path may begin in a target that was not parsed. */
const PATH_END = /[?;#&=]/

/**
 * Cuts what is longer than `length` UTF-16 units and says so, as kube-apiserver does with user
 * agents (apiserver/pkg/audit/request.go, `maybeTruncateUserAgent`).
 */
export function truncate(text: string, length: number): string {
  return text.length > length ? text.slice(0, length) + TRUNCATED : text
}

/**
 * `requestURI` of a request whose target was judged: path as it came but for tokens, parameters with
 * their values if known to be harmless and else `name=[redacted]`, in the order given.
 */
export function redactTarget(rawTarget: string, rawQuery: string): string {
  const isQueryShown = rawQuery === '' || isShown(rawQuery)
  if (isQueryShown && !mayHoldJws(rawTarget)) return truncate(rawTarget, MAX_URI_LENGTH)
  const path = redactJws(rawTarget.slice(0, rawTarget.length - rawQuery.length))
  return truncate(path + (isQueryShown ? rawQuery : redactQuery(rawQuery)), MAX_URI_LENGTH)
}

/**
 * `requestURI` of a request whose target was refused, so that nobody can say which part of it is a
 * path: everything from the first delimiter on counts as query, and userinfo is taken out.
 */
export function redactUnparsed(rawTarget: string): string {
  const bounded = rawTarget.slice(0, MAX_URI_LENGTH + 1)
  const end = bounded.search(PATH_END)
  const path = (end === -1 ? bounded : bounded.slice(0, end))
    .split(/([/\\])/)
    .map(withoutUserinfo)
    .join('')
    .replace(TOKEN_RUN, withoutJws)
  if (end === -1) return truncate(path, MAX_URI_LENGTH)
  const delimiter = bounded.charAt(end)
  const rest = delimiter === '?' ? redactQuery(bounded.slice(end + 1)) : REDACTED
  return truncate(path + delimiter + rest, MAX_URI_LENGTH)
}

function withoutUserinfo(part: string): string {
  const at = part.lastIndexOf('@')
  return at === -1 ? part : `${REDACTED}${part.slice(at)}`
}

/** Where a JSON object in base64url begins that has two dots behind it; -1 when none does. */
function startOfJws(run: string): number {
  const start = run.indexOf('eyJ')
  const first = start === -1 ? -1 : run.indexOf('.', start + 11)
  return first !== -1 && run.includes('.', first + 1) ? start : -1
}

function withoutJws(run: string): string {
  const start = startOfJws(run)
  return start === -1 ? run : run.slice(0, start) + REDACTED
}

function mayHoldJws(text: string): boolean {
  return text.length > MIN_TOKEN_LENGTH && text.includes('eyJ')
}

/** The text without signed tokens (JWS) in it; before it is cut, since a half of one is not found. */
export function redactJws(text: string): string {
  return mayHoldJws(text) ? text.replace(TOKEN_RUN, withoutJws) : text
}

function holdsJws(text: string): boolean {
  return text.includes('eyJ') && (text.match(TOKEN_RUN) ?? []).some((run) => startOfJws(run) !== -1)
}

/** The `User-Agent` header's first value without tokens, cut as kube-apiserver cuts it; undefined when absent. */
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
 * A value that names how an identity came about, without being a credential: what looks like a
 * token, or is kept under the name of one, is not shown.
 */
export function redactIdentityValue(key: string, value: string): string {
  const namesCredential = /(?:token|password|passwd|secret|authorization|cookie|bearer)s?$/i
  return namesCredential.test(key) || holdsJws(value) ? REDACTED : value
}

/** Whether every parameter is one that is shown: the rule, and then nothing is copied. */
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
  // The bound keeps a query of thousands of parameters from costing more than what is written.
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
    const isDoubtful = OTHER_DELIMITER.test(pair) || holdsJws(pair)
    return isDoubtful ? `${name}=${REDACTED}` : pair
  }
  if (pair === '') return ''
  // Without a name and a value it may be a secret that stands alone, padding and all.
  const isNamed = equals !== -1 && /^[^=]/.test(pair.slice(equals + 1)) && PARAMETER_NAME.test(name)
  return isNamed ? `${name}=${REDACTED}` : REDACTED
}

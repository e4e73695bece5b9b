/**
 * URLs as Go reads them (net/url of Go 1.26), which differs from the URL standard of browsers: nothing is
 * normalized but the case of the scheme. Texts are the bytes of UTF-8, one character for each, so that an
 * escape may stand for any byte.
 */
import { isIPv6 } from 'node:net'

/** What a text of bytes that is read as a URL says. */
export interface GoUrl {
  /** In lower case; empty if there is none. */
  readonly scheme: string
  /** What follows the scheme if it does not begin with a slash; empty otherwise. */
  readonly opaque: string
  readonly user: string | undefined
  /** With the port, unescaped. */
  readonly host: string
  /** Whether a scheme is followed by a path without `//`. */
  readonly hasNoHost: boolean
  readonly path: string
  /** As it was written, if another escaping than the usual one was used. */
  readonly rawPath: string
  /** Whether the URL ends in `?`. */
  readonly hasEmptyQuery: boolean
  readonly rawQuery: string
  readonly fragment: string
}

/** What needs no escape, by the part of the URL. */
const UNESCAPED = {
  path: /[\w.~$&+,\-/:;=@]/,
  host: /[\w.~!"$&'()*+,\-:;<=>[\]]/,
  user: /[\w.~$&+,\-;=]/,
  fragment: /[\w.~!$&()*+,\-/:;=?@]/,
}

type Part = keyof typeof UNESCAPED

/** The others. */
const ESCAPED = {
  path: othersOf(UNESCAPED.path),
  host: othersOf(UNESCAPED.host),
  user: othersOf(UNESCAPED.user),
  fragment: othersOf(UNESCAPED.fragment),
}

function othersOf({ source }: RegExp): RegExp {
  return new RegExp(source.replace('[', '[^'), 'g')
}

const ESCAPE = /%[\da-f]{2}/gi

/** What Go takes for a query. More parameters than these are none. */
const MAX_PARAMETERS = 10_000

/**
 * Reads an absolute URL or path with an optional fragment, as kube-apiserver's CEL function `url` does.
 *
 * @returns undefined for what is neither
 */
export function parseUrl(text: string): GoUrl | undefined {
  // Go reads it twice: as what stands in a request, which has no fragment, and then with its fragment.
  if (parseWithoutFragment(text, true) === undefined) return undefined
  const [before, fragment] = cut(text, '#')
  const url = parseWithoutFragment(before, false)
  const unescaped = unescape(fragment)
  if (url === undefined || unescaped === undefined) return undefined
  return fragment === '' ? url : { ...url, fragment: written(fragment, unescaped, 'fragment') }
}

/** Whether it is an absolute URL or path, as kube-apiserver's CEL function `isURL` sees it. */
export function isUrl(text: string): boolean {
  return parseWithoutFragment(text, true) !== undefined
}

/** @param isOfRequest whether a path of two slashes is a path; otherwise, a host follows them */
function parseWithoutFragment(text: string, isOfRequest: boolean): GoUrl | undefined {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\0-\x1f\x7f]/.test(text) || text.startsWith(':')) return undefined
  if (text === '*') return { ...EMPTY, path: '*' }
  const { scheme, rest } = splitScheme(text)
  const [main, rawQuery] = cut(rest, '?')
  const url = { ...EMPTY, scheme, hasEmptyQuery: /^[^?]*\?$/.test(rest), rawQuery }
  if (!main.startsWith('/')) return scheme === '' ? undefined : { ...url, opaque: main }
  const mayHaveHost = scheme !== '' || !(isOfRequest || main.startsWith('///'))
  if (mayHaveHost && main.startsWith('//')) return withHost(url, main.slice(2))
  const path = pathOf(main)
  return path && { ...url, ...path, hasNoHost: scheme !== '' }
}

function splitScheme(text: string): { readonly scheme: string; readonly rest: string } {
  const [, scheme = '', rest = text] = /^([a-z][a-z\d+.-]*):(.*)$/is.exec(text) ?? []
  return { scheme: scheme.toLowerCase(), rest }
}

function withHost(url: GoUrl, text: string): GoUrl | undefined {
  const [, authorityText = '', pathText = ''] = /^([^/]*)(.*)$/s.exec(text) ?? []
  const authority = authorityOf(url.scheme, authorityText)
  const path = pathOf(pathText)
  return authority && path && { ...url, ...authority, ...path }
}

const EMPTY: GoUrl = {
  ...{ scheme: '', opaque: '', user: undefined, host: '', hasNoHost: false, path: '', rawPath: '' },
  ...{ hasEmptyQuery: false, rawQuery: '', fragment: '' },
}

function pathOf(text: string): Pick<GoUrl, 'path' | 'rawPath'> | undefined {
  const path = unescape(text)
  return path === undefined
    ? undefined
    : { path, rawPath: text === escape(path, 'path') ? '' : text }
}

function authorityOf(scheme: string, text: string): Pick<GoUrl, 'user' | 'host'> | undefined {
  const at = text.lastIndexOf('@')
  const host = hostOf(scheme, text.slice(at + 1))
  if (host === undefined || at === -1)
    return host === undefined ? undefined : { host, user: undefined }
  const [name, password] = cut(text.slice(0, at), ':')
  if (!/^[\w.:~!$&'()*+,;=%@-]*$/.test(text.slice(0, at))) return undefined
  const unescaped = [unescape(name), unescape(password)]
  if (unescaped.includes(undefined)) return undefined
  const [user = '', secret = ''] = unescaped
  const hasPassword = text.slice(0, at).includes(':')
  return {
    host,
    user: escape(user, 'user') + (hasPassword ? `:${escape(secret, 'user')}` : ''),
  }
}

function hostOf(scheme: string, text: string): string | undefined {
  const bracket = text.lastIndexOf('[')
  if (bracket > 0) return undefined
  if (bracket === 0) return ipv6HostOf(text)
  // Only HTTP allows a single colon at most: drivers of databases list several hosts with ports.
  const isHttp = scheme === 'http' || scheme === 'https'
  const colon = isHttp ? text.indexOf(':') : text.lastIndexOf(':')
  if (colon !== -1 && !isPort(text.slice(colon))) return undefined
  return unescapeHost(text)
}

/** RFC 3986 and RFC 6874: an address in brackets, with a zone behind `%25`. */
function ipv6HostOf(text: string): string | undefined {
  const end = text.lastIndexOf(']')
  const port = text.slice(end + 1)
  if (end === -1 || !isPort(port)) return undefined
  const inside = text.slice(1, end)
  const zoneAt = inside.indexOf('%25')
  const address = unescapeHost(zoneAt === -1 ? inside : inside.slice(0, zoneAt))
  const zone = zoneAt === -1 ? '' : unescapeZone(inside.slice(zoneAt))
  if (address === undefined || zone === undefined) return undefined
  return zone !== '%' && isIPv6(address) ? `[${address}${zone}]${port}` : undefined
}

function isPort(text: string): boolean {
  return text === '' || /^:\d*$/.test(text)
}

/** In a host, only what is not ASCII may be escaped, and a percent sign. */
function unescapeHost(text: string): string | undefined {
  const escapes = text.match(ESCAPE) ?? []
  if (escapes.some((one) => one !== '%25' && byteOf(one) < 0x80)) return undefined
  return isHostText(text) ? unescape(text) : undefined
}

/** In a zone, what could be written without an escape may be escaped, and a space. */
function unescapeZone(text: string): string | undefined {
  const isAllowed = (one: string): boolean =>
    one === '%25' || one === '%20' || UNESCAPED.host.test(String.fromCharCode(byteOf(one)))
  if (!(text.match(ESCAPE) ?? []).every(isAllowed)) return undefined
  return isHostText(text) ? unescape(text) : undefined
}

function isHostText(text: string): boolean {
  return Array.from(text).every(
    (byte) => byte === '%' || byte >= '\x80' || UNESCAPED.host.test(byte),
  )
}

/** @returns undefined where a percent sign is not followed by two hexadecimal digits */
function unescape(text: string): string | undefined {
  if (!text.includes('%')) return text
  if (text.replaceAll(ESCAPE, '').includes('%')) return undefined
  return text.replaceAll(ESCAPE, (one) => String.fromCharCode(byteOf(one)))
}

function byteOf(escaped: string): number {
  return Number.parseInt(escaped.slice(1), 16)
}

function escape(text: string, part: Part): string {
  return text.replaceAll(
    ESCAPED[part],
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

/** What was written, if that is a valid escaping, and the usual one otherwise. */
function written(raw: string, unescaped: string, part: 'path' | 'fragment'): string {
  const isValid = Array.from(raw).every(
    (byte) => /[!$&'()*+,;=:@[\]%]/.test(byte) || UNESCAPED[part].test(byte),
  )
  return isValid ? raw : escape(unescaped, part)
}

/** The path with its escapes. */
export function escapedPath({ path, rawPath }: GoUrl): string {
  if (rawPath !== '') return written(rawPath, path, 'path')
  return path === '*' ? '*' : escape(path, 'path')
}

/** The host without the port and without brackets, and the port. */
export function splitHost({ host }: GoUrl): readonly [hostname: string, port: string] {
  const colon = host.lastIndexOf(':')
  const hasPort = colon !== -1 && isPort(host.slice(colon))
  const name = hasPort ? host.slice(0, colon) : host
  const isBracketed = name.startsWith('[') && name.endsWith(']')
  return [isBracketed ? name.slice(1, -1) : name, hasPort ? host.slice(colon + 1) : '']
}

/** The parameters of the query, unescaped. What is not valid is left out. */
export function parametersOf({ rawQuery }: GoUrl): ReadonlyMap<string, readonly string[]> {
  const all = rawQuery.split('&')
  const parameters = new Map<string, string[]>()
  if (all.length > MAX_PARAMETERS) return parameters
  for (const one of all) {
    if (one === '' || one.includes(';')) continue
    const [name, value] = cut(one, '=').map((text) => unescape(text.replaceAll('+', ' ')))
    if (name === undefined || value === undefined) continue
    const values = parameters.get(name)
    if (values === undefined) parameters.set(name, [value])
    else values.push(value)
  }
  return parameters
}

/** The URL as Go writes it; two URLs are equal if these texts are. */
export function urlText(url: GoUrl): string {
  const { scheme, opaque, hasEmptyQuery, rawQuery, fragment } = url
  const begin = scheme === '' ? '' : `${scheme}:`
  const main = opaque === '' ? authorityText(url) + escapedPath(url) : opaque
  const query = hasEmptyQuery || rawQuery !== '' ? `?${rawQuery}` : ''
  return begin + main + query + (fragment === '' ? '' : `#${fragment}`)
}

function authorityText({ scheme, user, host, hasNoHost, path }: GoUrl): string {
  if (user === undefined && host === '') {
    return scheme === '' || hasNoHost || path === '' ? '' : '//'
  }
  return `//${user === undefined ? '' : `${user}@`}${escape(host, 'host')}`
}

function cut(text: string, separator: string): [before: string, after: string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

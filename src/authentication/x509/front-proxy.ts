/**
 * Users whom another proxy has authenticated, by the headers and flags of kube-apiserver's request header
 * authenticator (apiserver/pkg/authentication/request/headerrequest, `--requestheader-*`).
 */
import { createNetworks } from '../../config/networks.ts'
import type { ClientConnection, PeerCertificate, RawHeaders } from '../../http/exchange.ts'
import { createLru } from '../../lru.ts'
import type { Authentication, UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { quote } from '../quote.ts'

export interface FrontProxyOptions {
  /** Common names of front proxies; empty: any (`--requestheader-allowed-names`). */
  readonly allowedNames: readonly string[]
  /** Names of headers, of which the first that has a value counts. */
  readonly usernameHeaders: readonly string[]
  readonly uidHeaders: readonly string[]
  /** Names of headers, all of which count. */
  readonly groupHeaders: readonly string[]
  readonly extraHeaderPrefixes: readonly string[]
  /** Networks that front proxies connect from. */
  readonly trustedNetworks: readonly string[]
}

export interface FrontedRequest {
  /** That of the front proxy, which TLS has accepted. */
  readonly certificate: PeerCertificate
  readonly connection: ClientConnection
  readonly rawHeaders: RawHeaders
}

export interface FrontProxy {
  /**
   * Why a certificate is not one of a front proxy, although its CA signs them; undefined when it is.
   */
  problem(certificate: PeerCertificate, connection: ClientConnection): string | undefined
  /**
   * Returns the user that the headers name: the same object for the same user, since what is derived from
   * it is expensive.
   *
   * @throws StatusError 401
   */
  authenticate(request: FrontedRequest): Omit<Authentication, 'method'>
}

/** Characters of the users that are remembered. */
const MAX_REMEMBERED = 16_777_216

/** Creates authentication by the headers of front proxies. */
export function createFrontProxy(options: FrontProxyOptions): FrontProxy {
  const isTrusted = createNetworks(options.trustedNetworks)
  const allowedNames = new Set(options.allowedNames)
  const readUser = createReader(options)
  const remembered = createLru<Remembered>(MAX_REMEMBERED, ({ size }) => size)

  function problem(
    { subject }: PeerCertificate,
    { remoteAddress }: ClientConnection,
  ): string | undefined {
    if (!isTrusted(remoteAddress)) {
      return `the front proxy connects from ${remoteAddress}, which is not in trustedNetworks`
    }
    if (allowedNames.size === 0) return undefined
    const { CN: name } = subject
    // Go takes the last of several.
    if (typeof name === 'string' && allowedNames.has(name)) return undefined
    return `the front proxy is ${quote(name)}, which is not in allowedNames`
  }

  return {
    problem,
    authenticate({ certificate, connection, rawHeaders }) {
      const found = problem(certificate, connection)
      if (found !== undefined) throw unauthorized(found)
      const user = readUser(rawHeaders)
      const name = certificate.subject['CN']
      const key = JSON.stringify([certificate.sha256, user])
      let known = remembered.get(key)
      if (known === undefined) {
        known = { user, annotations: annotationsOf(certificate, name), size: 2 * key.length }
        remembered.set(key, known)
      }
      return known
    },
  }
}

interface Remembered extends Omit<Authentication, 'method'> {
  readonly size: number
}

function annotationsOf({ sha256 }: PeerCertificate, name: unknown): Authentication['annotations'] {
  return {
    'authentication.gatehouse/certificate-sha256': sha256,
    ...(typeof name === 'string' ? { 'authentication.gatehouse/front-proxy': name } : {}),
  }
}

type ReadUser = (rawHeaders: RawHeaders) => UserInfo

function createReader(options: FrontProxyOptions): ReadUser {
  const lower = (names: readonly string[]): readonly string[] =>
    names.map((name) => name.toLowerCase())
  const usernames = lower(options.usernameHeaders)
  const uids = lower(options.uidHeaders)
  const groups = lower(options.groupHeaders)
  const prefixes = lower(options.extraHeaderPrefixes)
  return (rawHeaders) => {
    const fields = new Fields(rawHeaders)
    const username = fields.first(usernames)
    if (username === '') throw unauthorized('the front proxy has not sent the name of a user')
    return {
      username,
      uid: fields.first(uids),
      groups: [...new Set(groups.flatMap((name) => fields.all(name)))],
      extra: Object.fromEntries(fields.extra(prefixes)),
    }
  }
}

/** The header fields of one request. */
class Fields {
  readonly #values = new Map<string, string[]>()

  constructor(rawHeaders: RawHeaders) {
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = (rawHeaders[i] ?? '').toLowerCase()
      const values = this.#values.get(name)
      if (values === undefined) this.#values.set(name, [rawHeaders[i + 1] ?? ''])
      else values.push(rawHeaders[i + 1] ?? '')
    }
  }

  /**
   * `headerValue`. kube-apiserver takes the first of several values: the one that a client sent itself, if
   * the front proxy only adds its own.
   */
  first(names: readonly string[]): string {
    for (const name of names) {
      if ((this.#values.get(name)?.length ?? 0) > 1) {
        throw unauthorized(`the front proxy has sent the header ${quote(name)} more than once`)
      }
    }
    const found = names.find((name) => (this.#values.get(name)?.[0] ?? '') !== '')
    return found === undefined ? '' : decode(found, this.#values.get(found)?.[0] ?? '')
  }

  /** `allHeaderValues`: those that are not empty. Commas separate nothing. */
  all(name: string): readonly string[] {
    const values = this.#values.get(name) ?? []
    return values.filter((value) => value !== '').map((value) => decode(name, value))
  }

  /** `newExtra`: keys are in lower case, except for what is escaped in them. */
  extra(prefixes: readonly string[]): ReadonlyMap<string, readonly string[]> {
    const extra = new Map<string, string[]>()
    for (const prefix of prefixes) {
      for (const [name, values] of this.#values) {
        if (!name.startsWith(prefix)) continue
        const key = unescapeKey(name.slice(prefix.length))
        const earlier = extra.get(key) ?? []
        extra.set(key, [...earlier, ...values.map((value) => decode(name, value))])
      }
    }
    return extra
  }
}

/** Node reads header values as latin1, and kube-apiserver reads UTF-8. */
function decode(name: string, value: string): string {
  const bytes = Buffer.from(value, 'latin1')
  const text = bytes.toString('utf8')
  if (Buffer.from(text).equals(bytes)) return text
  throw unauthorized(`the front proxy has sent a value of ${quote(name)} that is not UTF-8`)
}

/** `unescapeExtraKey`: what is not path-escaped stays as it is. */
function unescapeKey(encoded: string): string {
  if (/%(?![0-9a-f]{2})/i.test(encoded)) return encoded
  try {
    return decodeURIComponent(encoded)
  } catch {
    throw unauthorized('the front proxy has sent the key of an extra that is not UTF-8')
  }
}

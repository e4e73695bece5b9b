/**
 * Reads whom a request asks to impersonate (`kubectl --as`), as kube-apiserver reads it
 * (apiserver/pkg/endpoints/filters/impersonation, `processImpersonationHeaders`).
 */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { RawHeaders } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

const PREFIX = 'impersonate-'
const EXTRA_PREFIX = 'impersonate-extra-'

/**
 * Returns the user as the request names it, with nothing added (`wantedUser`). Returns undefined if the
 * request does not impersonate: without these headers, or with an empty
 * `Impersonate-User` alone, as in kube-apiserver.
 *
 * @throws StatusError 400 for a group, uid or extra without a user; where Gatehouse is stricter, for a
 * name that is sent more than once or is unknown, for an empty value, and for a value that is not UTF-8
 */
export function requestedUser(rawHeaders: RawHeaders): UserInfo | undefined {
  const reader = new Reader()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    // Some servers take "_" for "-"; such a header is refused and not ignored.
    if (name.replaceAll('_', '-').startsWith(PREFIX)) reader.add(name, rawHeaders[i + 1] ?? '')
  }
  return reader.end()
}

class Reader {
  #username: string | undefined
  #uid: string | undefined
  readonly #groups = new Set<string>()
  readonly #extra = new Map<string, string[]>()

  add(name: string, rawValue: string): void {
    const value = decode(name, rawValue)
    switch (name) {
      case 'impersonate-user':
        this.#username = single('Impersonate-User', this.#username, value)
        break
      case 'impersonate-uid':
        this.#uid = single('Impersonate-Uid', this.#uid, value)
        break
      case 'impersonate-group':
        this.#groups.add(notEmpty('Impersonate-Group', value))
        break
      default:
        this.#addExtra(name, value)
    }
  }

  #addExtra(name: string, value: string): void {
    if (!name.startsWith(EXTRA_PREFIX)) throw badRequest(`unknown header ${JSON.stringify(name)}`)
    const key = notEmpty('the key of an extra', unescapeKey(name.slice(EXTRA_PREFIX.length)))
    const values = this.#extra.get(key) ?? []
    values.push(notEmpty(name, value))
    this.#extra.set(key, values)
  }

  end(): UserInfo | undefined {
    const username = this.#username ?? ''
    const uid = this.#uid ?? ''
    if (username === '') {
      if (this.#groups.size === 0 && this.#extra.size === 0 && uid === '') return undefined
      throw badRequest('a group, uid or extra is requested without a user: add --as')
    }
    const extra = Object.fromEntries(this.#extra)
    return { username, uid, groups: [...this.#groups], extra }
  }
}

/** kube-apiserver takes the first one, and something else might take another. */
function single(name: string, earlier: string | undefined, value: string): string {
  if (earlier !== undefined) throw badRequest(`${name} is sent more than once`)
  return value
}

/** Node reads header values as latin1, and the API server reads UTF-8. */
function decode(name: string, value: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(value, 'latin1'),
    )
  } catch {
    throw badRequest(`the value of ${JSON.stringify(name)} is not UTF-8`)
  }
}

/**
 * `unescapeExtraKey`: path-unescaped, and kept as it is if it is malformed. Only the header's name is in
 * lower case, not what is escaped in it.
 */
function unescapeKey(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

/** kube-apiserver takes an empty group or extra, which cannot be asserted to it in a header. */
function notEmpty(what: string, value: string): string {
  if (value === '') throw badRequest(`${what} is empty`)
  return value
}

function badRequest(message: string): StatusError {
  return new StatusError('BadRequest', `impersonation: ${message}`)
}

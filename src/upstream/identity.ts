/**
 * A user's identity as request headers, by impersonation or by an authenticating proxy's headers
 * (client-go/transport/round_trippers.go; apiserver/pkg/authentication/request/headerrequest).
 */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { RawHeaders } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

export interface IdentityNames {
  readonly mode: 'impersonation' | 'requestheader'
  /** Lower case, like every name that this module writes. */
  readonly user: string
  readonly group: string
  readonly uid: string
  readonly extraPrefix: string
}

export const IMPERSONATION: IdentityNames = {
  mode: 'impersonation',
  user: 'impersonate-user',
  group: 'impersonate-group',
  uid: 'impersonate-uid',
  extraPrefix: 'impersonate-extra-',
}

/** Returns a user's identity headers; the same array for the same `UserInfo` object. */
export type IdentityWriter = (user: UserInfo) => RawHeaders

/** Authenticators cache users; their headers are built once and live as long. */
export function createIdentityWriter(names: IdentityNames): IdentityWriter {
  const known = new WeakMap<UserInfo, RawHeaders>()
  return (user) => {
    let headers = known.get(user)
    if (headers === undefined) {
      headers = identityHeaders(user, names)
      known.set(user, headers)
    }
    return headers
  }
}

/**
 * One header for the user, one for each group, uid and extra value.
 *
 * @throws StatusError 500 for a value that a header writer or reader would change. The identity guard
 * has rejected these before; this is the last check, since without a user header the request runs as
 * Gatehouse itself (k8s.io/apiserver, filters/impersonation)
 */
export function identityHeaders(user: UserInfo, names: IdentityNames): RawHeaders {
  const headers = [names.user, headerBytes(user.username)]
  if (user.uid !== '') headers.push(names.uid, headerBytes(user.uid))
  for (const group of user.groups) headers.push(names.group, headerBytes(group))
  for (const [key, values] of Object.entries(user.extra)) {
    const name = names.extraPrefix + escapeExtraKey(key)
    for (const value of values) headers.push(name, headerBytes(value))
  }
  return headers
}

/** Control characters and leading or trailing spaces: refused, not trimmed (values are UTF-8 here). */
// eslint-disable-next-line no-control-regex -- matches control characters on purpose
const UNSAFE_VALUE = /^$|^[\s\u00a0]|[\s\u00a0]$|[\u0000-\u001f\u007f-\u009f]/u

/** UTF-8 bytes as a latin1 string, which Node writes to the connection byte for byte. */
function headerBytes(value: string): string {
  if (UNSAFE_VALUE.test(value) || !value.isWellFormed()) {
    throw new StatusError('InternalError', 'the identity cannot be asserted to the API server', {
      cause: new Error('identity value with surrounding spaces or control characters'),
    })
  }
  return Buffer.from(value, 'utf8').toString('latin1')
}

/** RFC 9110 token characters without `%` and upper case: header names are case-insensitive. */
const PLAIN_KEY_BYTE = /[a-z0-9!#$&'*+\-.^_`|~]/

/** `headerKeyEscape` of client-go: bytes that are not token characters, and `%`, become `%XX`. */
export function escapeExtraKey(key: string): string {
  let escaped = ''
  for (const byte of Buffer.from(key, 'utf8')) {
    const character = String.fromCharCode(byte)
    escaped += PLAIN_KEY_BYTE.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return escaped
}

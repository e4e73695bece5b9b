/**
 * Decides which identities may be asserted upstream, whichever authenticator they come from. It
 * checks the bytes that the API server will read (upstream/identity.ts writes them unchanged).
 */
import { StatusError } from '../status.ts'
import type { UserInfo } from './authenticator.ts'
import { quote } from './quote.ts'

export interface SystemIdentities {
  /** Exact names that begin with `system:` and are allowed. */
  readonly users: readonly string[]
  readonly groups: readonly string[]
}

/** The group of every authenticated user. It is always added, so a credential may name it. */
export const AUTHENTICATED = 'system:authenticated'

/** Longest user name, uid, group, extra key or extra value, in bytes of UTF-8. */
const MAX_NAME_BYTES = 1_024
const MAX_GROUPS = 500
/** All groups and extra values together, in bytes: they must fit into one request head. */
const MAX_TOTAL_BYTES = 24_576

// eslint-disable-next-line no-control-regex -- the expression finds them
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff]/

/**
 * Characters that are not visible, or that look like another one, so that a name that contains one looks
 * like another name in rules and logs: control, format, private and unassigned code points, all that
 * Unicode lets a renderer ignore, blanks other than U+0020 and the ideographic space, and those that only
 * their glyph makes invisible (U+2800 braille blank, U+16FE4 Khitan filler, U+1D159 null notehead).
 * U+200C and U+200D are allowed, since Persian and Indic scripts need them. U+FFFC and U+FFFD stand for
 * what could not be shown or decoded, so that different names would become equal.
 */
const INVISIBLE =
  /[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}[\u{16fe4}]\u2800\ufffc\ufffd\u{1d159}]--[ \u3000\u200c\u200d]]/v

/**
 * Returns the user with `system:authenticated` added to the groups if it is missing.
 *
 * @throws StatusError 403 that names the rejected value: a `system:` identity that the
 * administrator did not allow, an empty name, whitespace at either end (header parsers trim it, so
 * `" system:masters"` would arrive as `system:masters`), control or invisible characters, or a
 * value, a number of groups or a total size over the limit
 */
export function guardIdentity(user: UserInfo, allowed: SystemIdentities): UserInfo {
  checkName('user name', user.username)
  if (isReserved(user.username) && !allowed.users.includes(user.username)) {
    throw rejected(`user name ${quote(user.username)} is reserved for Kubernetes`)
  }
  if (user.uid !== '') checkName('uid', user.uid)
  for (const group of user.groups) {
    checkName('group', group)
    if (isReserved(group) && group !== AUTHENTICATED && !allowed.groups.includes(group)) {
      throw rejected(`group ${quote(group)} is reserved for Kubernetes`)
    }
  }
  for (const [key, values] of Object.entries(user.extra)) {
    checkName('extra key', key)
    for (const value of values) checkName('extra value', value)
  }
  checkSize(user)
  return user.groups.includes(AUTHENTICATED)
    ? user
    : { ...user, groups: [...user.groups, AUTHENTICATED] }
}

/**
 * Kubernetes compares names case-sensitively; other spellings of the prefix are reserved too, since
 * they only imitate it.
 */
function isReserved(name: string): boolean {
  return name.slice(0, 7).toLowerCase() === 'system:'
}

function checkName(what: string, value: string): void {
  if (value === '') throw rejected(`${what} is empty`)
  if (CONTROL.test(value)) throw rejected(`${what} ${quote(value)} contains control characters`)
  if (!value.isWellFormed()) throw rejected(`${what} is not valid Unicode`)
  if (value !== value.trim()) {
    throw rejected(`${what} ${quote(value)} begins or ends with whitespace`)
  }
  if (INVISIBLE.test(value)) {
    throw rejected(`${what} ${quote(value)} contains invisible characters`)
  }
  if (Buffer.byteLength(value) > MAX_NAME_BYTES) {
    throw rejected(`${what} is longer than ${MAX_NAME_BYTES} bytes`)
  }
}

function checkSize({ groups, extra }: UserInfo): void {
  if (groups.length > MAX_GROUPS) {
    throw rejected(`${groups.length} groups exceed the limit of ${MAX_GROUPS}`)
  }
  const values = [...groups, ...Object.values(extra).flat()]
  const total = values.reduce((sum, value) => sum + Buffer.byteLength(value), 0)
  if (total > MAX_TOTAL_BYTES) {
    throw rejected(
      `${total} bytes of groups and extra values exceed the limit of ${MAX_TOTAL_BYTES}`,
    )
  }
}

/** A 403 that names what is wrong with an identity. */
export function rejected(message: string): StatusError {
  return new StatusError('Forbidden', `identity rejected: ${message}`)
}

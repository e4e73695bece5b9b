/**
 * Which identities may be asserted upstream at all, whoever vouches for them. The bytes judged are
 * the bytes that the API server will read (identity.ts writes them unchanged).
 */
import { StatusError } from '../status.ts'
import type { UserInfo } from './authenticator.ts'
import { quote } from './quote.ts'

export interface SystemIdentities {
  /** Exact names that begin with `system:` and may pass. */
  readonly users: readonly string[]
  readonly groups: readonly string[]
}

/** Every user has it; it is added, and whoever brings it along brings nothing. */
const AUTHENTICATED = 'system:authenticated'

/** Bytes of a name; more is no name, and all groups together must fit a request head. */
const MAX_NAME_BYTES = 1_024
const MAX_GROUPS = 500
const MAX_TOTAL_BYTES = 24_576

// eslint-disable-next-line no-control-regex -- they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff]/

/**
 * What does not show, or turns the direction of writing: a name with it looks like another one to
 * whoever reads rules and logs. The joiners of Persian and Indic scripts (U+200C, U+200D) are not
 * among it. U+FFFD is what readers put in place of bytes that they could not read, so that several
 * names would become one.
 */
const INVISIBLE =
  /[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufff9-\ufffd\u{e0000}-\u{e007f}]/u

/**
 * Gives back the user with `system:authenticated` among the groups, once.
 *
 * @throws StatusError 403 naming what must not be asserted: a `system:` identity that the operator
 * did not name, an empty name, blanks at the ends (header readers trim: `" system:masters"` would
 * arrive as `system:masters`), control characters and others that do not show, or more than fits
 * a request
 */
export function guardIdentity(user: UserInfo, allowed: SystemIdentities): UserInfo {
  checkName('user name', user.username)
  if (isReserved(user.username) && !allowed.users.includes(user.username)) {
    throw refused(`the user name ${quote(user.username)} is reserved to Kubernetes`)
  }
  if (user.uid !== '') checkName('uid', user.uid)
  for (const group of user.groups) {
    checkName('group', group)
    if (isReserved(group) && group !== AUTHENTICATED && !allowed.groups.includes(group)) {
      throw refused(`the group ${quote(group)} is reserved to Kubernetes`)
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

/** Case counts in Kubernetes; the other spellings are refused as well, since nobody means well by them. */
function isReserved(name: string): boolean {
  return name.slice(0, 7).toLowerCase() === 'system:'
}

function checkName(what: string, value: string): void {
  if (value === '') throw refused(`an empty ${what} cannot be asserted`)
  if (CONTROL.test(value)) throw refused(`the ${what} ${quote(value)} holds control characters`)
  if (!value.isWellFormed()) throw refused(`the ${what} is not Unicode`)
  if (INVISIBLE.test(value)) {
    throw refused(`the ${what} ${quote(value)} holds characters that do not show`)
  }
  if (value !== value.trim())
    throw refused(`the ${what} ${quote(value)} begins or ends with a blank`)
  if (Buffer.byteLength(value) > MAX_NAME_BYTES) {
    throw refused(`the ${what} is longer than ${MAX_NAME_BYTES} bytes`)
  }
}

function checkSize({ groups, extra }: UserInfo): void {
  if (groups.length > MAX_GROUPS) {
    throw refused(`the user has ${groups.length} groups, more than ${MAX_GROUPS}`)
  }
  const values = [...groups, ...Object.values(extra).flat()]
  const total = values.reduce((sum, value) => sum + Buffer.byteLength(value), 0)
  if (total > MAX_TOTAL_BYTES) {
    throw refused(`the user's groups take ${total} bytes, more than ${MAX_TOTAL_BYTES}`)
  }
}

function refused(message: string): StatusError {
  return new StatusError('Forbidden', `this identity is not let through: ${message}`)
}

/**
 * Decides which identities may be asserted upstream, whichever authenticator they come from. It
 * checks the bytes that the API server will read (upstream/identity.ts writes them unchanged).
 */
import { StatusError } from '../status.ts'
import type { UserInfo } from './authenticator.ts'
import { withUnasserted } from './group-filter.ts'
import { quote } from './quote.ts'

export interface SystemIdentities {
  /** Exact names that begin with `system:` and are allowed. */
  readonly users: readonly string[]
  readonly groups: readonly string[]
}

/** The group of every authenticated user. It is always added, so a credential may name it. */
export const AUTHENTICATED = 'system:authenticated'

/** Extras that only Gatehouse sets, such as the name of a user who impersonates another one. */
const OWN_EXTRAS = 'gatehouse/'

/** Longest user name, uid, group, extra key or extra value, in bytes of UTF-8. */
const MAX_NAME_BYTES = 1_024

export interface IdentityLimits {
  /** Groups, without `system:authenticated` where Gatehouse adds it. */
  readonly maxGroups: number
  /** All groups and extra values together, in bytes of UTF-8. */
  readonly maxIdentityBytes: number
}

/**
 * The bytes are what the longest token holds (30,720), with a prefix of 34 bytes for each of 1,000 groups.
 * kube-apiserver accepts headers of a megabyte, far more than these make with their names.
 */
export const DEFAULT_IDENTITY_LIMITS: IdentityLimits = {
  maxGroups: 1_000,
  maxIdentityBytes: 65_536,
}

const FEWER = 'ask your administrator for a credential with fewer groups'

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

export interface GuardOptions extends IdentityLimits {
  readonly systemIdentities: SystemIdentities
  /** What a group whose name cannot be sent unchanged costs: the whole identity, or only the group. */
  readonly unusableGroups: 'refuse' | 'drop'
}

/**
 * Returns the user with each group once, and with `system:authenticated` added if it is missing. Groups that are
 * dropped become `unassertedGroups`, as they are and without the blanks at their ends, so that deny rules
 * still count them.
 *
 * @throws StatusError 403 that names the rejected value: a `system:` identity that the
 * administrator did not allow, an extra that only Gatehouse sets, an empty name, whitespace at either end (header parsers trim it, so
 * `" system:masters"` would arrive as `system:masters`), control or invisible characters, or a
 * value, a number of groups or a total size over the limit
 */
export function guardIdentity(user: UserInfo, options: GuardOptions): UserInfo {
  checkName('user name', user.username)
  checkReserved('user name', user.username, options.systemIdentities.users)
  if (user.uid !== '') checkName('uid', user.uid)
  const dropped = unusableGroups(user, options)
  for (const [key, values] of Object.entries(user.extra)) {
    checkName('extra key', key)
    if (key.toLowerCase().startsWith(OWN_EXTRAS)) {
      throw rejected(`extra key ${quote(key)} is reserved for Gatehouse`)
    }
    for (const value of values) checkName('extra value', value)
  }
  checkSize(user, options)
  const guarded = withoutRepeats(dropped === undefined ? user : withoutGroups(user, dropped))
  return guarded.groups.includes(AUTHENTICATED)
    ? guarded
    : { ...guarded, groups: [...guarded.groups, AUTHENTICATED] }
}

/** The groups to drop; undefined when all groups are usable. */
function unusableGroups(
  { groups, unassertedGroups = [] }: UserInfo,
  options: GuardOptions,
): Set<string> | undefined {
  // What a filter has left out is not sent, but a credential that claims it is rejected all the same.
  if (unassertedGroups !== 'unknown') {
    for (const group of unassertedGroups) checkReservedGroup(group, options)
  }
  let dropped: Set<string> | undefined
  for (const group of groups) {
    const problem = nameProblem('group', group)
    if (problem === undefined) {
      checkReservedGroup(group, options)
      continue
    }
    if (options.unusableGroups === 'refuse') throw rejected(problem)
    dropped ??= new Set()
    dropped.add(group)
  }
  return dropped
}

function withoutGroups(user: UserInfo, dropped: ReadonlySet<string>): UserInfo {
  const groups = user.groups.filter((group) => !dropped.has(group))
  return withUnasserted({ ...user, groups }, [...dropped])
}

function withoutRepeats(user: UserInfo): UserInfo {
  const groups = [...new Set(user.groups)]
  return groups.length === user.groups.length ? user : { ...user, groups }
}

function checkReservedGroup(group: string, { systemIdentities }: GuardOptions): void {
  if (group !== AUTHENTICATED) checkReserved('group', group, systemIdentities.groups)
}

/**
 * Kubernetes compares names case-sensitively; other spellings of the prefix are reserved too, since
 * they only imitate it.
 */
function checkReserved(what: string, name: string, allowed: readonly string[]): void {
  if (name.slice(0, 7).toLowerCase() !== 'system:' || allowed.includes(name)) return
  throw rejected(`${what} ${quote(name)} is reserved for Kubernetes`)
}

function checkName(what: string, value: string): void {
  const problem = nameProblem(what, value)
  if (problem !== undefined) throw rejected(problem)
}

function nameProblem(what: string, value: string): string | undefined {
  if (value === '') return `${what} is empty`
  if (CONTROL.test(value)) return `${what} ${quote(value)} contains control characters`
  if (!value.isWellFormed()) return `${what} is not valid Unicode`
  if (value !== value.trim()) return `${what} ${quote(value)} begins or ends with whitespace`
  if (INVISIBLE.test(value)) return `${what} ${quote(value)} contains invisible characters`
  if (Buffer.byteLength(value) > MAX_NAME_BYTES) {
    return `${what} is longer than ${MAX_NAME_BYTES} bytes`
  }
  return undefined
}

function checkSize({ groups, extra }: UserInfo, limits: IdentityLimits): void {
  const { maxGroups, maxIdentityBytes } = limits
  if (groups.length > maxGroups) {
    throw rejected(`${groups.length} groups exceed the limit of ${maxGroups}: ${FEWER}`)
  }
  const values = [...groups, ...Object.values(extra).flat()]
  const total = values.reduce((sum, value) => sum + Buffer.byteLength(value), 0)
  if (total > maxIdentityBytes) {
    throw rejected(
      `${total} bytes of groups and extra values exceed the limit of ${maxIdentityBytes}: ${FEWER}`,
    )
  }
}

/** A 403 that names what is wrong with an identity. */
export function rejected(message: string): StatusError {
  return new StatusError('Forbidden', `identity rejected: ${message}`)
}

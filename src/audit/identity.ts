/** The parts of an event that are the same for all requests of a user, and are built only once. */
import { createHash } from 'node:crypto'

import type { Authentication, UnassertedGroups, UserInfo } from '../authentication/authenticator.ts'
import { jsonMembers } from './json-members.ts'
import type { ImpersonatedFacts } from './record.ts'
import { redactIdentityValue, truncate } from './redaction.ts'
import { truncateJson } from './truncate-json.ts'

const MAX_ANNOTATION_LENGTH = 1_024
/**
 * Bytes as JSON. A user with many large groups writes one of them into each event of each request: with
 * the longest headers, 500 watches that end together would write 30 MB.
 */
const MAX_NAME_BYTES = 1_024
const MAX_GROUPS_BYTES = 4_096
const MAX_EXTRA_BYTES = 2_048

/** A user as an event shows it. */
interface ShownUser {
  readonly json: string
  /** What the event omits, in words; undefined when it omits nothing. */
  readonly omitted: string | undefined
}

const users = new WeakMap<UserInfo, ShownUser>()
const origins = new WeakMap<Authentication, string>()

/**
 * `user` of an event as JSON: kube-apiserver's `UserInfo` (authentication/v1) without empty fields;
 * `{}` for an unauthenticated client.
 */
export function userJson(user: UserInfo | undefined): string {
  return user === undefined ? '{}' : shownUser(user).json
}

/** What the identity adds to an event. */
export function identityBytes(authentication: Authentication): number {
  return (
    Buffer.byteLength(userJson(authentication.user)) +
    Buffer.byteLength(originMembers(authentication))
  )
}

/** What a user whom the authenticated user acts as adds to an event. */
export function impersonationBytes(acting: ImpersonatedFacts): number {
  return Buffer.byteLength(impersonationMembers(acting))
}

/** `impersonatedUser` and, in a constrained mode, `authenticationMetadata`; each ends with a comma. */
export function impersonationMembers({ user, constraint }: ImpersonatedFacts): string {
  const mode =
    constraint === ''
      ? ''
      : `${jsonMembers({ authenticationMetadata: { impersonationConstraint: constraint } })},`
  return `"impersonatedUser":${userJson(user)},${mode}`
}

function shownUser(user: UserInfo): ShownUser {
  let shown = users.get(user)
  if (shown === undefined) {
    shown = limitUser(redactUser(user))
    users.set(user, shown)
  }
  return shown
}

/** Keeps what fits, in its order; the rest is counted, and known by the digest of the whole. */
function limitUser(user: Partial<UserInfo>): ShownUser {
  const { username = '', uid, groups = [], extra = {} } = user
  const extras = Object.entries(extra)
  const shownGroups = fitting(groups, MAX_GROUPS_BYTES)
  const shownExtras = fitting(extras, MAX_EXTRA_BYTES)
  const shown = {
    username: truncateJson(username, MAX_NAME_BYTES),
    ...(uid === undefined ? {} : { uid: truncateJson(uid, MAX_NAME_BYTES) }),
    ...(shownGroups.length === 0 ? {} : { groups: shownGroups }),
    ...(shownExtras.length === 0 ? {} : { extra: Object.fromEntries(shownExtras) }),
  }
  const isWhole =
    shown.username === username &&
    shown.uid === uid &&
    shownGroups.length === groups.length &&
    shownExtras.length === extras.length
  if (isWhole) return { json: `{${jsonMembers(user)}}`, omitted: undefined }
  const digest = createHash('sha256').update(JSON.stringify(user)).digest('hex')
  const count = (what: string, some: number, all: number): string =>
    `${all - some} of ${all} ${what}, `
  const omitted =
    count('groups', shownGroups.length, groups.length) +
    count('extras', shownExtras.length, extras.length) +
    `sha256:${digest}`
  return { json: `{${jsonMembers(shown)}}`, omitted }
}

/** The items at the start that take at most `bytes` as JSON together. */
function fitting<T>(items: readonly T[], bytes: number): readonly T[] {
  let left = bytes
  for (const [index, item] of items.entries()) {
    left -= Buffer.byteLength(jsonMembers([item])) + 1
    if (left < 0) return items.slice(0, index)
  }
  return items
}

/**
 * How the user authenticated, and the authenticator's annotations on the identity's origin, as JSON
 * members that each end with a comma. A key without a prefix gets `authentication.gatehouse/`; a key
 * cannot imitate one of the auditor's own.
 */
export function originMembers(authentication: Authentication): string {
  let json = origins.get(authentication)
  if (json === undefined) {
    const shown = Object.entries(authentication.annotations).map(([key, value]) => [
      prefixed(key),
      truncate(redactIdentityValue(key, value), MAX_ANNOTATION_LENGTH),
    ])
    const own = {
      'gatehouse/method': authentication.method,
      'gatehouse/unassertedGroups': shownGroups(authentication.user.unassertedGroups),
      'gatehouse/omittedIdentity': shownUser(authentication.user).omitted,
    }
    json = `${jsonMembers({ ...(Object.fromEntries(shown) as object), ...own })},`
    origins.set(authentication, json)
  }
  return json
}

/** A JSON list, since a name may contain any separator. */
function shownGroups(groups: UnassertedGroups | undefined): string | undefined {
  if (groups === undefined || groups === 'unknown') return groups
  return truncate(JSON.stringify(groups), MAX_ANNOTATION_LENGTH)
}

function prefixed(key: string): string {
  const isOwn = /^(?:(?:latency\.)?gatehouse|authorization\.k8s\.io)\//.test(key)
  if (key.includes('/') && !isOwn) return key
  return `authentication.gatehouse/${key.slice(key.lastIndexOf('/') + 1)}`
}

function redactUser({ username, uid, groups, extra }: UserInfo): Partial<UserInfo> {
  const extras = Object.entries(extra).map(([key, values]): [string, readonly string[]] => [
    key,
    values.map((value) => redactIdentityValue(key, value)),
  ])
  return {
    username,
    ...(uid === '' ? {} : { uid }),
    ...(groups.length === 0 ? {} : { groups }),
    ...(extras.length === 0 ? {} : { extra: Object.fromEntries(extras) }),
  }
}

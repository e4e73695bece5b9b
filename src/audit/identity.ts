/** The parts of an event that are the same for all requests of a user, and are built only once. */
import type { Authentication, UnassertedGroups, UserInfo } from '../authentication/authenticator.ts'
import { jsonMembers } from './json-members.ts'
import { redactIdentityValue, truncate } from './redaction.ts'

const MAX_ANNOTATION_LENGTH = 1_024

const users = new WeakMap<UserInfo, string>()
const origins = new WeakMap<Authentication, string>()

/**
 * `user` of an event as JSON: kube-apiserver's `UserInfo` (authentication/v1) without empty fields;
 * `{}` for an unauthenticated client.
 */
export function userJson(user: UserInfo | undefined): string {
  if (user === undefined) return '{}'
  let json = users.get(user)
  if (json === undefined) {
    json = `{${jsonMembers(redactUser(user))}}`
    users.set(user, json)
  }
  return json
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
    }
    json = `${jsonMembers(Object.fromEntries([...shown, ...Object.entries(own)]) as object)},`
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

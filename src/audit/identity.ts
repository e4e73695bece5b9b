/** The parts of an event that are the same for every request of one user: serialised once. */
import type { Authentication, UserInfo } from '../authentication/authenticator.ts'
import { quote, truncate } from './json-string.ts'
import { redactIdentityValue } from './redaction.ts'

const MAX_ANNOTATION_LENGTH = 1_024

const users = new WeakMap<UserInfo, string>()
const origins = new WeakMap<Authentication['annotations'], string>()

/**
 * `user` of an event: kube-apiserver's `UserInfo` (authentication/v1) with empty fields left out;
 * `{}` before anybody was recognised.
 */
export function userJson(user: UserInfo | undefined): string {
  if (user === undefined) return '{}'
  let json = users.get(user)
  if (json === undefined) {
    json = serialiseUser(user)
    users.set(user, json)
  }
  return json
}

/**
 * What the authenticator says of the identity's origin, as members that end in a comma. A key
 * without a prefix gets `authentication.gatehouse/`; no key can pass for one of the auditor's own.
 */
export function originAnnotations(annotations: Authentication['annotations']): string {
  let json = origins.get(annotations)
  if (json === undefined) {
    json = Object.entries(annotations)
      .map(([key, value]) => {
        const shown = truncate(redactIdentityValue(key, value), MAX_ANNOTATION_LENGTH)
        return `${quote(prefixed(key))}:${quote(shown)},`
      })
      .join('')
    origins.set(annotations, json)
  }
  return json
}

function prefixed(key: string): string {
  const isForeign =
    key.includes('/') && !/^(?:(?:latency\.)?gatehouse|authorization\.k8s\.io)\//.test(key)
  return isForeign ? key : `authentication.gatehouse/${key.slice(key.lastIndexOf('/') + 1)}`
}

function serialiseUser({ username, uid, groups, extra }: UserInfo): string {
  const members = [`"username":${quote(username)}`]
  if (uid !== '') members.push(`"uid":${quote(uid)}`)
  if (groups.length > 0) members.push(`"groups":[${groups.map(quote).join(',')}]`)
  const extras = Object.entries(extra).map(([key, values]) => {
    const shown = values.map((value) => quote(redactIdentityValue(key, value)))
    return `${quote(key)}:[${shown.join(',')}]`
  })
  if (extras.length > 0) members.push(`"extra":{${extras.join(',')}}`)
  return `{${members.join(',')}}`
}

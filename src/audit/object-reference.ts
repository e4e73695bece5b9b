import type { RequestInfo } from '../request/types.ts'
import { jsonMembers } from './json-members.ts'
import { redactJws, truncate } from './redaction.ts'
import { truncateJson } from './truncate-json.ts'

/** The longest name that Kubernetes knows (RFC 1123 subdomain), in characters. */
const MAX_MEMBER_LENGTH = 253
/** Bytes, in events of those who were not recognised: of all members, and of each when it is more. */
const MAX_STRANGER_LENGTH = 384
const MAX_STRANGER_MEMBER_LENGTH = 40

/** `objectRef` of a resource request, cut where no object could have such a name. */
export function objectReference(info: RequestInfo, isStranger: boolean): object {
  // Members are parts of the decoded path, but for a name from a field selector.
  const isShort = info.path.length <= MAX_MEMBER_LENGTH && info.name.length <= MAX_MEMBER_LENGTH
  if (!isStranger) return reference(info, isShort ? redactJws : cut)
  const whole = isShort ? reference(info, redactJws) : undefined
  const isWhole =
    whole !== undefined && Buffer.byteLength(jsonMembers(whole)) <= MAX_STRANGER_LENGTH
  return isWhole ? whole : reference(info, cutForStranger)
}

function reference(
  { resource, namespace, name, apiGroup, apiVersion, subresource }: RequestInfo,
  shown: (member: string) => string,
): object {
  return {
    resource: shown(resource),
    namespace: namespace === '' ? undefined : shown(namespace),
    name: name === '' ? undefined : shown(name),
    apiGroup: apiGroup === '' ? undefined : shown(apiGroup),
    apiVersion: apiVersion === '' ? undefined : shown(apiVersion),
    subresource: subresource === '' ? undefined : shown(subresource),
  }
}

function cut(member: string): string {
  return truncate(redactJws(member), MAX_MEMBER_LENGTH)
}

function cutForStranger(member: string): string {
  return truncateJson(redactJws(member), MAX_STRANGER_MEMBER_LENGTH)
}

import type { RequestInfo } from '../request/types.ts'
import { jsonMembers } from './json-members.ts'
import { redactJws, truncate } from './redaction.ts'
import { truncateJson } from './truncate-json.ts'

/** The longest name in Kubernetes (RFC 1123 subdomain), in characters. */
const MAX_MEMBER_LENGTH = 253
/** In events of unauthenticated clients: bytes of all members, and of each one if they are longer. */
const MAX_UNAUTHENTICATED_BYTES = 384
const MAX_UNAUTHENTICATED_MEMBER_BYTES = 40

/** `objectRef` of a resource request; members longer than any Kubernetes name are truncated. */
export function objectReference(info: RequestInfo, isAuthenticated: boolean): object {
  // All members are parts of the decoded path, except a name from a field selector.
  const isShort = info.path.length <= MAX_MEMBER_LENGTH && info.name.length <= MAX_MEMBER_LENGTH
  if (isAuthenticated) return reference(info, isShort ? redactJws : truncated)
  const whole = isShort ? reference(info, redactJws) : undefined
  const isWhole =
    whole !== undefined && Buffer.byteLength(jsonMembers(whole)) <= MAX_UNAUTHENTICATED_BYTES
  return isWhole ? whole : reference(info, truncatedForUnauthenticated)
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

function truncated(member: string): string {
  return truncate(redactJws(member), MAX_MEMBER_LENGTH)
}

function truncatedForUnauthenticated(member: string): string {
  return truncateJson(redactJws(member), MAX_UNAUTHENTICATED_MEMBER_BYTES)
}

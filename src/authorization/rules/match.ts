/** Whether one rule speaks of one request. Pure; on the resolved RequestInfo, never on the URL. */
import type { UserInfo } from '../../authentication/authenticator.ts'
import { isConnect } from '../../request/long-running.ts'
import type { RequestInfo } from '../../request/types.ts'
import type { Attributes } from '../authorizer.ts'
import { matchesPattern } from './pattern-index.ts'
import type { AccessRule, ResourceRule } from './schema.ts'

/** Verb, resource or path, and subject; the effect and mode of the rule are the caller's business. */
export function ruleMatches(rule: AccessRule, { user, info }: Attributes): boolean {
  if (!verbMatches(rule, info)) return false
  const speaksOfIt = info.isResourceRequest
    ? (rule.resources ?? []).some((resource) => resourceMatches(resource, info))
    : pathMatches(rule, info.path)
  return speaksOfIt && subjectMatches(rule, user)
}

/**
 * `connect` is every way into a process or a network: exec, attach, portforward, proxy, whatever the
 * HTTP method. An allow rule grants it by that word only, since a GET by WebSocket is an exec
 * (kubernetes#78741); a deny rule takes the method's verb for it as well.
 */
function verbMatches({ verbs, effect }: AccessRule, info: RequestInfo): boolean {
  if (verbs.includes('*')) return true
  if (!isConnect(info)) return verbs.includes(info.verb)
  return verbs.includes('connect') || (effect === 'deny' && verbs.includes(info.verb))
}

function subjectMatches({ subjects }: AccessRule, { username, groups }: UserInfo): boolean {
  if (subjects === undefined) return true
  if (subjects.users !== undefined && matchesPattern(subjects.users, username)) return true
  const patterns = subjects.groups
  return patterns !== undefined && groups.some((group) => matchesPattern(patterns, group))
}

function resourceMatches(rule: ResourceRule, info: RequestInfo): boolean {
  return (
    (rule.apiGroups.includes('*') || rule.apiGroups.includes(info.apiGroup)) &&
    rule.resources.some((resource) => resourceNameMatches(resource, info)) &&
    (rule.namespaces === undefined || matchesPattern(rule.namespaces, info.namespace)) &&
    (rule.resourceNames === undefined || matchesPattern(rule.resourceNames, info.name))
  )
}

function resourceNameMatches(pattern: string, info: RequestInfo): boolean {
  if (pattern === '*') return true
  const slash = pattern.indexOf('/')
  const resource = slash === -1 ? pattern : pattern.slice(0, slash)
  const subresource = slash === -1 ? '' : pattern.slice(slash + 1)
  const asked = effectiveSubresource(info)
  return (
    (resource === '*' || resource === info.resource) &&
    (subresource === asked || (subresource === '*' && asked !== ''))
  )
}

/** The legacy prefix `/api/v1/proxy/…` has the verb proxy and no subresource, and means the same. */
export function effectiveSubresource({ verb, subresource }: RequestInfo): string {
  return verb === 'proxy' ? 'proxy' : subresource
}

/**
 * As in RBAC the path is compared as it is; a deny rule also holds for the path with a slash behind
 * it, which kube-apiserver's mux may serve alike.
 */
function pathMatches({ nonResourceURLs, effect }: AccessRule, path: string): boolean {
  if (nonResourceURLs === undefined) return false
  if (matchesPattern(nonResourceURLs, path)) return true
  return (
    effect === 'deny' &&
    path.length > 1 &&
    path.endsWith('/') &&
    matchesPattern(nonResourceURLs, path.slice(0, -1))
  )
}

import type { RequestInfo } from '../../../request/types.ts'
import { compilePatterns } from '../../../patterns.ts'
import type { AccessRule, ResourceRule } from '../schema.ts'
import type { ConditionCompiler } from './condition.ts'

type Matcher = (info: RequestInfo) => boolean

/**
 * A resource request must match one of the entries, so a rule without `resources` matches no resource
 * request. Non-resource requests are left to `nonResourceURLs`.
 */
export const compileResources: ConditionCompiler<'resources'> = ({ resources = [], effect }) => {
  const matchers = resources.map((entry) => compileResourceRule(entry, effect))
  return ({ info }) => !info.isResourceRequest || matchesAny(matchers, info)
}

function compileResourceRule(rule: ResourceRule, effect: AccessRule['effect']): Matcher {
  const { apiGroups } = rule
  const isAnyGroup = apiGroups.includes('*')
  const names = rule.resources.map(compileResourceName)
  const inNamespaces = compileOptional(rule.namespaces)
  const hasName = compileNames(rule.resourceNames, effect)
  return (info) =>
    (isAnyGroup || apiGroups.includes(info.apiGroup)) &&
    matchesAny(names, info) &&
    (inNamespaces === undefined || inNamespaces(info.namespace)) &&
    (hasName === undefined || hasName(info))
}

/**
 * A deny rule also matches by the name alone where a request to the subresource `proxy` names a
 * scheme or port, too: `https:web:443` is the service `web`.
 */
function compileNames(
  resourceNames: readonly string[] | undefined,
  effect: AccessRule['effect'],
): Matcher | undefined {
  if (resourceNames === undefined) return undefined
  const matches = compilePatterns(resourceNames)
  if (effect === 'allow') return ({ name }) => matches(name)
  return (info) => matches(info.name) || matches(proxiedName(info))
}

/**
 * The name of the object whose proxy is requested, without the scheme and port that the segment may
 * have: `[scheme:]name[:port]` (apimachinery/pkg/util/net/port_split.go). For other requests, and a
 * segment of another form, the name as it is.
 */
export function proxiedName(info: RequestInfo): string {
  const { name } = info
  if (effectiveSubresource(info) !== 'proxy' || !name.includes(':')) return name
  const parts = name.split(':')
  return (parts.length === 2 ? parts[0] : parts[1]) ?? name
}

/** `pods`, `pods/log`, `pods/*`, `*` with a subresource, or `*` for everything. */
function compileResourceName(pattern: string): Matcher {
  if (pattern === '*') return () => true
  const slash = pattern.indexOf('/')
  const resource = slash === -1 ? pattern : pattern.slice(0, slash)
  const subresource = slash === -1 ? '' : pattern.slice(slash + 1)
  return (info) => {
    if (resource !== '*' && resource !== info.resource) return false
    const requested = effectiveSubresource(info)
    return subresource === requested || (subresource === '*' && requested !== '')
  }
}

/**
 * The subresource, where the legacy prefix `/api/v1/proxy/…` counts as the subresource `proxy`: it
 * resolves to the verb `proxy` and no subresource, but has the same effect.
 */
export function effectiveSubresource({ verb, subresource }: RequestInfo): string {
  return verb === 'proxy' ? 'proxy' : subresource
}

function compileOptional(patterns: readonly string[] | undefined) {
  return patterns === undefined ? undefined : compilePatterns(patterns)
}

/** `some` without a closure per request. */
function matchesAny(matchers: readonly Matcher[], info: RequestInfo): boolean {
  for (const matches of matchers) if (matches(info)) return true
  return false
}

/** Finds resources in rules for the verb `impersonate` that nobody can impersonate. */
import type { ResourceRule } from '../schema.ts'
import { certain, likely, type ValueFinding } from './finding.ts'

/** What is impersonated, by its API group (filters/impersonation). */
const GROUP_OF: ReadonlyMap<string, string> = new Map([
  ['users', ''],
  ['groups', ''],
  ['serviceaccounts', ''],
  ['uids', 'authentication.k8s.io'],
  ['userextras', 'authentication.k8s.io'],
])

/** Whether the rule means this resource only as what is impersonated. */
export function isForImpersonation(name: string, verbs: readonly string[]): boolean {
  if (name.startsWith('*')) return false
  if (verbs.length > 0 && verbs.every((verb) => verb === 'impersonate')) return true
  const [resource = ''] = name.split('/')
  return verbs.includes('*') && resource !== 'serviceaccounts' && GROUP_OF.has(resource)
}

/** What is wrong with a resource that `isForImpersonation`; undefined if nothing is. */
export function findImpersonation(
  name: string,
  { apiGroups }: Pick<ResourceRule, 'apiGroups'>,
): ValueFinding | undefined {
  const [resource = '', key] = name.split('/')
  const group = GROUP_OF.get(resource)
  const text = JSON.stringify(name)
  if (group === undefined || (key !== undefined && resource !== 'userextras')) {
    const fix = 'use users, groups and serviceaccounts, or uids and userextras/KEY'
    return certain(`${text} is nothing that can be impersonated`, fix)
  }
  if (resource === 'userextras' && key === undefined) {
    return likely(`${text} matches no extra: an extra is a subresource`, 'use "userextras/*"')
  }
  if (apiGroups.includes(group) || apiGroups.includes('*')) return undefined
  return likely(
    `${text} is impersonated in the API group ${JSON.stringify(group)}, so it matches no request`,
    `use apiGroups: [${JSON.stringify(group)}]`,
  )
}

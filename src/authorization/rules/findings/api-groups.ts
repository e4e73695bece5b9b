/** Finds API groups that no request has, or that Kubernetes probably does not have. */
import { nearest } from '../../../config/issues.ts'
import { KUBERNETES_GROUPS } from '../kubernetes-resources.ts'
import { certain, likely, type ValueFinding } from './finding.ts'

/** A deny rule for such a group would deny nothing. */
export function findGroup(group: string): ValueFinding | undefined {
  const text = JSON.stringify(group)
  if (group === '' || group === '*') return undefined
  if (group === 'core') return certain(`${text} is not an API group`, 'use "" for the core group')
  if (/^v\d+(?:(?:alpha|beta)\d+)?$/.test(group)) {
    return certain(
      `${text} is a version, not an API group`,
      'use the group alone; the core group is ""',
    )
  }
  if (group.includes('/')) {
    const [alone = ''] = group.split('/')
    return certain(
      `${text} contains a version`,
      `use ${JSON.stringify(alone === 'core' ? '' : alone)}`,
    )
  }
  if (/^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(group)) return findUnknownGroup(group)
  return certain(`${text} is not an API group`, 'use "" for core, a group such as apps, or "*"')
}

/**
 * The group of a custom resource is a domain with a dot (apiextensions `ValidateCustomResourceDefinition`).
 * Groups with a dot may be anybody's, so only a misspelled one of Kubernetes' own is noticed.
 */
function findUnknownGroup(group: string): ValueFinding | undefined {
  if (KUBERNETES_GROUPS.includes(group)) return undefined
  const near =
    KUBERNETES_GROUPS.find((known) => known.startsWith(`${group}.`)) ??
    nearest(
      group,
      KUBERNETES_GROUPS.filter((known) => known !== ''),
    )
  if (near === undefined && group.includes('.')) return undefined
  return likely(
    `Kubernetes 1.36 has no API group ${JSON.stringify(group)}`,
    near === undefined
      ? 'use the group that kubectl api-resources shows before the slash'
      : `did you mean ${JSON.stringify(near)}?`,
  )
}

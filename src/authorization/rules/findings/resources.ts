/**
 * Finds resources that no request has, and combinations with API groups, verbs and namespaces that
 * no request has. What may still exist, as a custom resource or in a later Kubernetes, is only likely.
 */
import { nearest } from '../../../config/issues.ts'
import type { Path } from '../../../config/path.ts'
import {
  areClosedGroups,
  areKubernetesGroups,
  KUBERNETES_RESOURCES,
  resourcesIn,
  verbsOfResource,
  verbsOfSubresource,
  type KubernetesResource,
} from '../kubernetes-resources.ts'
import type { AccessRule, ResourceRule } from '../schema.ts'
import { findGroup } from './api-groups.ts'
import { at, certain, likely, type Finding, type ValueFinding } from './finding.ts'
import { findImpersonation, isForImpersonation } from './impersonation.ts'

/** The findings about the resources of one rule. */
export function findResources(rule: AccessRule): Finding[] {
  const { resources = [], verbs = [] } = rule
  return resources.flatMap((entry, i): Finding[] => {
    const path: Path = ['resources', i]
    const wrongGroups = entry.apiGroups.flatMap((group, j) =>
      at([...path, 'apiGroups', j], findGroup(group)),
    )
    const wrongNames = entry.resources.flatMap((name, j) => {
      const place: Path = [...path, 'resources', j]
      const malformed = findMalformed(name)
      if (malformed !== undefined) return at(place, malformed)
      if (isForImpersonation(name, verbs)) return at(place, findImpersonation(name, entry))
      return wrongGroups.length > 0 ? [] : at(place, findUnserved(name, entry, verbs))
    })
    const found = [...wrongGroups, ...wrongNames]
    if (found.some(({ isCertain }) => isCertain)) return found
    return [
      ...found,
      ...at([...path, 'namespaces'], findClusterScope(entry)),
      ...at([...path, 'resourceNames'], findNameless(entry, verbs)),
    ]
  })
}

function findMalformed(name: string): ValueFinding | undefined {
  const text = JSON.stringify(name)
  if (name !== name.toLowerCase()) {
    const lower = name.toLowerCase()
    const plural = KUBERNETES_RESOURCES.find(({ aliases }) => aliases.includes(lower))?.name
    return certain(
      `${text} is not a resource`,
      `resources are lower-case plurals: ${plural ?? lower}`,
    )
  }
  if (/^userextras\/[^*\s]+$/.test(name)) return undefined
  if (!/^(?:\*|[^*/\s]+)(?:\/(?:\*|[^*/\s]+))?$/.test(name)) {
    return certain(`${text} is not a resource`, 'use pods, pods/log, "pods/*", "*/scale" or "*"')
  }
  const [resource = '', subresource] = name.split('/')
  const dot = resource.indexOf('.')
  if (dot === -1) return undefined
  const alone = withSubresource(resource.slice(0, dot), subresource)
  const group = resource.slice(dot + 1).replace(/^v\d+(?:(?:alpha|beta)\d+)?(?:\.|$)/, '')
  return certain(
    `${text} contains an API group, which no resource does`,
    `use ${alone}, with apiGroups: [${JSON.stringify(group)}]`,
  )
}

function withSubresource(resource: string, subresource: string | undefined): string {
  return subresource === undefined || subresource === '' ? resource : `${resource}/${subresource}`
}

/** A well-formed name that kube-apiserver does not serve in these groups. */
function findUnserved(
  name: string,
  { apiGroups, resources }: ResourceRule,
  verbs: readonly string[],
): ValueFinding | undefined {
  const text = JSON.stringify(name)
  const [resource = '', subresource = ''] = name.split('/')
  if (resource === '*') {
    if (subresource === '*' && !resources.includes('*')) {
      const message = `${text} is every subresource, and no resource itself`
      return likely(message, 'use "*" for everything, or add it')
    }
    return findSubresource(name, resourcesIn(apiGroups), apiGroups, verbs)
  }
  const here = resourcesIn(apiGroups)
  const served = here.filter((one) => one.name === resource)
  if (served.length > 0) {
    return subresource === ''
      ? findUnservedVerbs(resource, apiGroups, verbs)
      : findSubresource(name, served, apiGroups, verbs)
  }
  if (name === 'all' && apiGroups.some((group) => !group.includes('.'))) {
    const message = '"all" is a category of kubectl, which matches no request'
    return likely(message, 'use "*" for every resource')
  }
  return findAlias(name, apiGroups) ?? findOtherGroup(name, apiGroups) ?? findTypo(name, apiGroups)
}

/**
 * A singular or short name, which kubectl takes and no request has. Custom resources and aggregated
 * APIs may have any name, so it is certain only in the groups that Kubernetes has for itself.
 */
function findAlias(name: string, apiGroups: readonly string[]): ValueFinding | undefined {
  // A group of a custom resource says nothing about Kubernetes' own resources.
  if (!apiGroups.some((group) => !group.includes('.') || group.endsWith('.k8s.io')))
    return undefined
  const [alias = '', subresource] = name.split('/')
  const isAlias = ({ aliases }: KubernetesResource): boolean => aliases.includes(alias)
  const here = resourcesIn(apiGroups).find(isAlias)
  const resource = here ?? KUBERNETES_RESOURCES.find(isAlias)
  if (resource === undefined) return undefined
  const plural = withSubresource(resource.name, subresource)
  const kind = alias === resource.aliases[0] ? 'a singular' : 'a short name of kubectl'
  const finding = areClosedGroups(apiGroups) ? certain : likely
  return finding(
    `${JSON.stringify(name)} is ${kind}, which matches no request`,
    here === undefined
      ? `did you mean ${plural}, with apiGroups: [${JSON.stringify(resource.group)}]?`
      : `did you mean ${plural}?`,
  )
}

/** A resource that kube-apiserver serves, but in none of these groups. */
function findOtherGroup(name: string, apiGroups: readonly string[]): ValueFinding | undefined {
  if (!areKubernetesGroups(apiGroups)) return undefined
  const [resource] = name.split('/')
  const groups = KUBERNETES_RESOURCES.filter((one) => one.name === resource)
  if (groups.length === 0) return undefined
  const meant = groups.map(({ group }) => JSON.stringify(group)).join(', ')
  return likely(
    `${JSON.stringify(name)} is not a resource of ${describeGroups(apiGroups)}, so it matches no request`,
    `use apiGroups: [${meant}]`,
  )
}

function findTypo(name: string, apiGroups: readonly string[]): ValueFinding | undefined {
  if (!areClosedGroups(apiGroups)) return undefined
  const [resource = '', subresource] = name.split('/')
  const near = nearest(
    resource,
    resourcesIn(apiGroups).map((one) => one.name),
  )
  return likely(
    `Kubernetes 1.36 has no resource ${JSON.stringify(resource)} in ${describeGroups(apiGroups)}`,
    near === undefined
      ? 'use the plural that kubectl api-resources shows'
      : `did you mean ${withSubresource(near, subresource)}?`,
  )
}

function describeGroups(groups: readonly string[]): string {
  const names = groups.map((group) => JSON.stringify(group)).join(', ')
  return groups.length === 1 ? `the API group ${names}` : `the API groups ${names}`
}

/** A resource that is served with other verbs only, such as a review. */
function findUnservedVerbs(
  resource: string,
  apiGroups: readonly string[],
  verbs: readonly string[],
): ValueFinding | undefined {
  if (!areKubernetesGroups(apiGroups) || verbs.includes('*')) return undefined
  const own = verbsOfResource(resource)
  // A connection to a resource itself is a problem of its own.
  if (verbs.some((verb) => own.includes(verb) || verb === 'connect')) return undefined
  return likely(
    `no request for ${JSON.stringify(resource)} has one of the verbs of the rule`,
    `use the verbs ${own.join(', ')}`,
  )
}

/** A subresource that the resource does not have, or has with other verbs only. */
function findSubresource(
  name: string,
  served: readonly KubernetesResource[],
  apiGroups: readonly string[],
  verbs: readonly string[],
): ValueFinding | undefined {
  const [resource = '', subresource = ''] = name.split('/')
  if (subresource === '' || subresource === '*') return undefined
  if (!areKubernetesGroups(apiGroups)) return undefined
  const text = JSON.stringify(name)
  const known = [...new Set(served.flatMap(({ subresources }) => subresources))]
  if (!known.includes(subresource)) {
    const near = nearest(subresource, known)
    const list = known.map((one) => `${resource}/${one}`).join(', ')
    return likely(
      `Kubernetes 1.36 does not serve ${text} in ${describeGroups(apiGroups)}`,
      near !== undefined
        ? `did you mean ${resource}/${near}?`
        : known.length === 0
          ? 'remove it; there are no subresources'
          : `use ${list}`,
    )
  }
  const own = verbsOfSubresource(subresource)
  // Connections have a check of their own, since their verbs differ between allow and deny.
  if (own.includes('connect') || verbs.includes('*')) return undefined
  if (verbs.some((verb) => own.includes(verb))) return undefined
  return likely(
    `no request for ${text} has one of the verbs of the rule`,
    `use the verbs ${own.join(', ')}`,
  )
}

/** Requests for cluster-scoped resources have no namespace, except for a namespace itself. */
function findClusterScope(entry: ResourceRule): ValueFinding | undefined {
  const { apiGroups, namespaces, resources } = entry
  if (namespaces === undefined || namespaces.some((one) => one === '' || one === '*')) return
  const here = resourcesIn(apiGroups)
  const never = resources.filter((name) => {
    const [resource] = name.split('/')
    const served = here.filter((one) => one.name === resource)
    return (
      resource !== 'namespaces' && served.length > 0 && served.every((one) => !one.isNamespaced)
    )
  })
  if (never.length === 0) return undefined
  const finding = areKubernetesGroups(apiGroups) ? certain : likely
  const verb = never.length === 1 ? 'is' : 'are'
  return finding(
    `${never.join(', ')} ${verb} cluster-scoped, and no such request has a namespace`,
    'give it an entry of its own without namespaces',
  )
}

/** A request to create has the name in its body, and one for a collection has none. */
function findNameless(
  { resources, resourceNames }: ResourceRule,
  verbs: readonly string[],
): ValueFinding | undefined {
  if (resourceNames === undefined || resourceNames.some((one) => one === '' || one === '*')) return
  if (!verbs.every((verb) => verb === 'create' || verb === 'deletecollection')) return
  // Subresources are created below a name (pods/eviction).
  if (resources.some((name) => name === '*' || name.includes('/'))) return
  return certain(
    `matches no request: ${verbs.join(' and ')} requests have no name in their path`,
    'omit resourceNames',
  )
}

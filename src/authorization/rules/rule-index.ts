/**
 * Finds the rules that may match a request without evaluating the others. Each rule is indexed by the
 * one dimension that it shares with the fewest other rules.
 */
import type { Attributes } from '../authorizer.ts'
import { effectiveSubresource, proxiedName } from './conditions/resources.ts'
import { PatternIndex } from './pattern-index.ts'
import type { AccessRule } from './schema.ts'

const DIMENSIONS = ['user', 'group', 'namespace', 'name', 'resource', 'path'] as const
type Dimension = (typeof DIMENSIONS)[number]

/** The patterns to index a rule by. A rule for users and groups is indexed by both. */
type Place = readonly { readonly dimension: Dimension; readonly pattern: string }[]

export interface RuleIndex {
  /** Positions in no order, some perhaps twice. A rule that is not among them does not match. */
  candidates(attributes: Attributes): readonly number[]
}

/** @param rules candidates are positions in this list */
export function createRuleIndex(rules: readonly AccessRule[]): RuleIndex {
  const indexes = Object.fromEntries(
    DIMENSIONS.map((dimension) => [dimension, new PatternIndex<number>()]),
  ) as Record<Dimension, PatternIndex<number>>
  const everywhere: number[] = []
  /** Deny rules that are indexed by a group, for users whose groups are unknown. */
  const deniesByGroup: number[] = []

  const sharedWith = (place: Place): number =>
    Math.max(...place.map(({ dimension, pattern }) => indexes[dimension].count(pattern)))

  rules.forEach((rule, position) => {
    const places = possiblePlaces(rule)
    const best = places.toSorted((a, b) => sharedWith(a) - sharedWith(b))[0]
    if (best === undefined) everywhere.push(position)
    else for (const { dimension, pattern } of best) indexes[dimension].add(pattern, position)
    if (rule.effect === 'deny' && best?.some(({ dimension }) => dimension === 'group') === true) {
      deniesByGroup.push(position)
    }
  })

  return {
    candidates({ user, info }) {
      const found = [...everywhere]
      indexes.user.find(user.username, found)
      for (const group of user.groups) indexes.group.find(group, found)
      if (user.unassertedGroups === 'unknown') found.push(...deniesByGroup)
      else if (user.unassertedGroups !== undefined) {
        for (const group of user.unassertedGroups) indexes.group.find(group, found)
      }
      if (info.isResourceRequest) {
        indexes.namespace.find(info.namespace, found)
        indexes.name.find(info.name, found)
        const proxied = proxiedName(info)
        if (proxied !== info.name) indexes.name.find(proxied, found)
        indexes.resource.find(resourceKey(info.resource, effectiveSubresource(info)), found)
      } else {
        indexes.path.find(info.path, found)
        if (info.path.endsWith('/')) indexes.path.find(info.path.slice(0, -1), found)
      }
      return found
    },
  }
}

/**
 * Places at which every request that the rule matches finds it. `*` is not a place, since every request
 * would find it. An unknown condition needs none: it only narrows a rule.
 */
function possiblePlaces({ subjects, resources, nonResourceURLs }: AccessRule): Place[] {
  const places: Place[] = []
  const offer = (place: Place): void => {
    if (place.length > 0 && place.every(({ pattern }) => pattern !== '*')) places.push(place)
  }
  if (subjects !== undefined) {
    offer([...inDimension('user', subjects.users), ...inDimension('group', subjects.groups)])
  }
  if (resources !== undefined && nonResourceURLs === undefined) {
    if (resources.every(({ namespaces }) => namespaces !== undefined)) {
      offer(
        inDimension(
          'namespace',
          resources.flatMap(({ namespaces }) => namespaces ?? []),
        ),
      )
    }
    if (resources.every(({ resourceNames }) => resourceNames !== undefined)) {
      offer(
        inDimension(
          'name',
          resources.flatMap(({ resourceNames }) => resourceNames ?? []),
        ),
      )
    }
    const names = resources.flatMap((rule) => rule.resources)
    if (names.every((name) => !name.startsWith('*'))) {
      offer(inDimension('resource', names.map(resourcePattern)))
    }
  }
  if (nonResourceURLs !== undefined && resources === undefined) {
    offer(inDimension('path', nonResourceURLs))
  }
  return places
}

function inDimension(dimension: Dimension, patterns: readonly string[] = []): Place {
  return [...new Set(patterns)].map((pattern) => ({ dimension, pattern }))
}

function resourcePattern(name: string): string {
  const slash = name.indexOf('/')
  return slash === -1 ? resourceKey(name, '') : name
}

/** The slash is there even without a subresource, so that `pods/*` does not match `podsets`. */
function resourceKey(resource: string, subresource: string): string {
  return `${resource}/${subresource}`
}

/** Finds deny rules that a request evades which does the same by another verb, or without a name. */
import type { Path } from '../../../config/path.ts'
import { DENIES_CONNECT, PATH_VERBS } from '../conditions/verbs.ts'
import { verbsOfResource } from '../kubernetes-resources.ts'
import type { AccessRule, ResourceRule } from '../schema.ts'
import { findAliases } from './aliases.ts'
import type { Denials } from './denials.ts'
import { likely, type Finding } from './finding.ts'

/** @param denials of the file that has the rule */
export function findDenialGaps(rule: AccessRule, denials: Denials): Finding[] {
  if (rule.effect !== 'deny') return []
  const { verbs = ['*'] } = rule
  return [
    ...findVerbGaps(rule, verbs),
    ...findForgottenConnect(rule, verbs, denials),
    ...findForgottenMethods(rule, verbs),
    ...findTrailingSlashes(rule),
    ...(rule.resources ?? []).flatMap((entry, i) => [
      ...findNamespaceGap(entry, ['resources', i]),
      ...findNameGap(entry, verbs, ['resources', i]),
    ]),
    ...findAliases(rule, denials),
  ]
}

function findNamespaceGap({ namespaces }: ResourceRule, path: Path): Finding[] {
  if (namespaces === undefined || matchesEmpty(namespaces)) return []
  const message = 'does not deny requests across all namespaces (kubectl get -A)'
  return [{ ...likely(message, 'add "" to deny them, too'), path: [...path, 'namespaces'] }]
}

/** Requests that reach a named object without naming it, by the verb that does so. */
const NAMELESS = {
  list: 'list and watch return these objects, too',
  create: 'create has the name in the body',
  deletecollection:
    'deletecollection deletes these objects, too, a single one by fieldSelector=metadata.name=',
}

function findNameGap(
  { resourceNames }: ResourceRule,
  verbs: readonly string[],
  path: Path,
): Finding[] {
  if (resourceNames === undefined || matchesEmpty(resourceNames)) return []
  const has = (...some: string[]): boolean =>
    verbs.includes('*') || some.some((verb) => verbs.includes(verb))
  const open = [
    ...(has('get', 'list', 'watch') ? [NAMELESS.list] : []),
    ...(has('create') ? [NAMELESS.create] : []),
    ...(has('delete', 'deletecollection') ? [NAMELESS.deletecollection] : []),
  ]
  if (open.length === 0) return []
  const message = `does not deny requests without a name in their path: ${open.join('; ')}`
  const fix = 'omit resourceNames to deny them, too'
  return [{ ...likely(message, fix), path: [...path, 'resourceNames'] }]
}

function matchesEmpty(patterns: readonly string[]): boolean {
  return patterns.includes('') || patterns.includes('*')
}

interface Gap {
  /** Verbs that have the same effect as the denied one. */
  readonly others: readonly string[]
  readonly message: string
}

/** Gaps of a deny rule, by the verb that it denies. A server-side apply is a patch that creates. */
const GAPS: Readonly<Record<string, Gap>> = {
  get: { others: ['list', 'watch'], message: 'the objects can still be read' },
  list: { others: ['watch'], message: 'the objects can still be read' },
  watch: { others: ['list'], message: 'the objects can still be read' },
  create: {
    others: ['patch', 'update'],
    message: 'objects can still be created (kubectl apply --server-side)',
  },
  update: { others: ['patch'], message: 'the objects can still be changed' },
  patch: { others: ['update'], message: 'the objects can still be changed' },
  delete: {
    others: ['deletecollection'],
    message: 'the objects can still be deleted, a single one by a field selector',
  },
}

function findVerbGaps({ resources = [] }: AccessRule, verbs: readonly string[]): Finding[] {
  // Subresources have no such gaps: pods/log only supports get, serviceaccounts/token only create.
  // Nor do reviews and bindings.
  const hasObjects = resources.some((one) =>
    one.resources.some((name) => !name.includes('/') && verbsOfResource(name).includes('patch')),
  )
  if (!hasObjects || verbs.includes('*')) return []
  const covered = new Set(verbs)
  return verbs.flatMap((verb) => {
    const gap = GAPS[verb]
    const missing = gap?.others.filter((other) => !covered.has(other)) ?? []
    if (gap === undefined || missing.length === 0) return []
    for (const other of missing) covered.add(other)
    return {
      ...likely(
        `denies ${verb} but not ${missing.join(' or ')}: ${gap.message}`,
        `add ${missing.join(' and ')} to deny ${missing.length === 1 ? 'it' : 'them'}, too`,
      ),
      path: ['verbs'],
    }
  })
}

const CONNECTIONS = [
  'pods/exec',
  'pods/attach',
  'pods/portforward',
  'services/proxy',
  'nodes/proxy',
]

/**
 * A deny of writes that covers the subresources exec, attach, portforward and proxy, but none of the
 * verbs that deny them.
 */
function findForgottenConnect(
  rule: AccessRule,
  verbs: readonly string[],
  denials: Denials,
): Finding[] {
  if (verbs.some((verb) => DENIES_CONNECT.has(verb))) return []
  if (!verbs.includes('update') && !verbs.includes('patch')) return []
  const open = CONNECTIONS.filter((name) => {
    const [resource = '', subresource = ''] = name.split('/')
    return (rule.resources ?? []).some((entry) => {
      const isNamed = entry.resources.some(
        (one) => one === '*' || one === '*/*' || one === `${resource}/*`,
      )
      if (!isNamed || !(entry.apiGroups.includes('') || entry.apiGroups.includes('*'))) return false
      return denials(rule, entry).leavesOpen({ verb: 'connect', group: '', resource, subresource })
    })
  })
  if (open.length === 0) return []
  const message = `does not deny ${open.join(', ')}, which change what they reach`
  return [{ ...likely(message, 'add connect to deny them, too'), path: ['verbs'] }]
}

/** A deny of GET alone: kube-apiserver serves /metrics, /healthz and /debug/pprof by any method. */
function findForgottenMethods(
  { nonResourceURLs }: AccessRule,
  verbs: readonly string[],
): Finding[] {
  if (nonResourceURLs === undefined || !verbs.includes('get')) return []
  if (verbs.includes('post') || verbs.includes('create') || verbs.includes('*')) return []
  const named = verbs.filter((verb) => PATH_VERBS.has(verb)).join(' and ')
  return [
    {
      ...likely(
        `denies ${named} but no other method: kube-apiserver serves many paths by any method`,
        'deny the paths in a rule without verbs',
      ),
      path: ['verbs'],
    },
  ]
}

/** kube-apiserver serves /metrics, and not /metrics/; a deny of the latter leaves the former open. */
function findTrailingSlashes({ nonResourceURLs = [] }: AccessRule): Finding[] {
  return nonResourceURLs.flatMap((url, i) => {
    const without = url.slice(0, -1)
    if (!url.endsWith('/') || without === '' || denies(nonResourceURLs, without)) return []
    const message = `${JSON.stringify(url)} does not deny ${JSON.stringify(without)}`
    return [{ ...likely(message, 'deny it, too'), path: ['nonResourceURLs', i] }]
  })
}

function denies(patterns: readonly string[], path: string): boolean {
  return patterns.some(
    (one) => one === path || (one.endsWith('*') && path.startsWith(one.slice(0, -1))),
  )
}

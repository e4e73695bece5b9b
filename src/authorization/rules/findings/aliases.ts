/**
 * Other requests of Kubernetes that do the same as a denied one. Sources are the storages of
 * kubernetes/pkg/registry: the storage of a subresource works on the objects of its resource.
 */
import type { Path } from '../../../config/path.ts'
import { KUBERNETES_RESOURCES } from '../kubernetes-resources.ts'
import type { AccessRule } from '../schema.ts'
import type { Action, Denials, EntryDenials } from './denials.ts'
import { likely, type Finding } from './finding.ts'

/** A resource, perhaps with a subresource and behind `@` its API group: `deployments/scale@apps`. */
type Reference = string

interface Alias {
  readonly of: Reference
  readonly alias: Reference
  /** By denied verb, the verbs of the alias that do the same. */
  readonly verbs: Readonly<Record<string, readonly string[]>>
  readonly because: string
}

const WRITES = { update: ['update', 'patch'], patch: ['update', 'patch'] }
const CONNECTS = { connect: ['connect'] }
const ALL = Object.fromEntries(
  ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'].map(
    (verb) => [verb, [verb]],
  ),
)

const ALIASES: readonly Alias[] = [
  ...both('events', 'events@events.k8s.io', ALL, 'they are the same objects'),
  ...both(
    'endpoints',
    'endpointslices@discovery.k8s.io',
    ALL,
    'they hold the same addresses of services',
  ),
  ...both('bindings', 'pods/binding', { create: ['create'] }, 'both bind a pod to a node'),
  ...both('services/proxy', 'pods/proxy', CONNECTS, 'both reach the ports of pods'),
  {
    of: 'pods/portforward',
    alias: 'pods/proxy',
    verbs: CONNECTS,
    because: 'it reaches the ports of the pod',
  },
  {
    of: 'pods/exec',
    alias: 'pods/attach',
    verbs: CONNECTS,
    because: 'it reaches a process in the container',
  },
  {
    of: 'pods/exec',
    alias: 'pods/ephemeralcontainers',
    verbs: { connect: ['update', 'patch'] },
    because: 'it runs a container in the pod',
  },
  {
    of: 'pods/exec',
    alias: 'nodes/proxy',
    verbs: CONNECTS,
    because: 'it reaches every container of the node',
  },
  {
    of: 'pods',
    alias: 'pods/eviction',
    verbs: { delete: ['create'] },
    because: 'an eviction deletes the pod',
  },
  {
    of: 'pods',
    alias: 'pods/ephemeralcontainers',
    verbs: WRITES,
    because: 'it runs a container in the pod',
  },
  { of: 'pods', alias: 'pods/resize', verbs: WRITES, because: 'it changes the pod' },
  {
    of: 'serviceaccounts',
    alias: 'serviceaccounts/token',
    verbs: { create: ['create'], update: ['create'], patch: ['create'] },
    because: 'it issues a token of the account',
  },
  {
    of: 'namespaces',
    alias: 'namespaces/finalize',
    verbs: { update: ['update'], patch: ['update'] },
    because: 'it changes the namespace',
  },
  {
    of: 'certificatesigningrequests@certificates.k8s.io',
    alias: 'certificatesigningrequests/approval@certificates.k8s.io',
    verbs: WRITES,
    because: 'it approves the request',
  },
  ...withSubresource('scale', WRITES, 'it changes the number of replicas'),
  ...withSubresource(
    'status',
    { ...WRITES, get: ['get'] },
    'it is a part of the same object, and returns all of it',
  ),
]

/**
 * Finds what a deny rule leaves open by another name, except for what another deny rule of the file
 * covers. One finding for each resource of a rule.
 */
export function findAliases(rule: AccessRule, denials: Denials): Finding[] {
  return (rule.resources ?? []).flatMap((entry, i) =>
    entry.resources.flatMap((name, j) => {
      const own = denials(rule, { ...entry, resources: [name] })
      const open = ALIASES.flatMap((alias) =>
        mayMatch(name, alias.of) ? (openAlias(alias, own) ?? []) : [],
      )
      if (open.length === 0) return []
      const reasons = open.map(({ shown, because }) => `${shown} (${because})`)
      const path: Path = ['resources', i, 'resources', j]
      return {
        ...likely(
          `${JSON.stringify(name)} does not deny the same by another name: ${reasons.join('; ')}`,
          `deny ${open.map(({ shown }) => shown).join('; ')}, too`,
        ),
        path,
      }
    }),
  )
}

interface OpenAlias {
  /** `create on pods/eviction` */
  readonly shown: string
  readonly because: string
}

function openAlias({ of, alias, verbs, because }: Alias, own: EntryDenials): OpenAlias | undefined {
  const wanted = new Set<string>()
  for (const [verb, same] of Object.entries(verbs)) {
    if (!own.denies(actionOf(verb, of))) continue
    for (const other of same) wanted.add(other)
  }
  const open = [...wanted].filter((verb) => own.leavesOpen(actionOf(verb, alias)))
  if (open.length === 0) return undefined
  const [name = '', group] = alias.split('@')
  const where = group === undefined ? '' : ` in ${group}`
  return { shown: `${joined(open)} on ${name}${where}`, because }
}

/** Whether a name in a rule may match the resource: spares most of the work. */
function mayMatch(name: string, of: Reference): boolean {
  const [resource = ''] = name.split('/')
  return resource === '*' || of.startsWith(resource)
}

function joined(verbs: readonly string[]): string {
  return verbs.join(', ').replace(/, (?=[a-z]+$)/, ' and ')
}

function actionOf(verb: string, reference: Reference): Action {
  const [name = '', group = ''] = reference.split('@')
  const [resource = '', subresource = ''] = name.split('/')
  return { verb, group, resource, subresource }
}

function both(a: Reference, b: Reference, verbs: Alias['verbs'], because: string): Alias[] {
  return [
    { of: a, alias: b, verbs, because },
    { of: b, alias: a, verbs, because },
  ]
}

/** An alias for every resource that has the subresource. */
function withSubresource(subresource: string, verbs: Alias['verbs'], because: string): Alias[] {
  return KUBERNETES_RESOURCES.filter(({ subresources }) => subresources.includes(subresource)).map(
    ({ name, group }) => {
      const suffix = group === '' ? '' : `@${group}`
      return { of: name + suffix, alias: `${name}/${subresource}${suffix}`, verbs, because }
    },
  )
}

/** The kinds of objects that the playground stores, with their columns in `kubectl get`. */
import { isJson, listAt, objectAt, stringAt, type KubernetesObject } from './objects.ts'

/** A column of `kubectl get`; priority 1 is shown with `-o wide` only. */
export interface Column {
  readonly name: string
  readonly priority: 0 | 1
  readonly value: (object: KubernetesObject) => string | number
}

/** A resource of the API. */
export interface Kind {
  /** `''` for the core group. The version is always `v1`. */
  readonly group: '' | 'apps'
  readonly resource: string
  readonly kind: string
  readonly shortNames: readonly string[]
  readonly namespaced: boolean
  /** Whether `kubectl get all` includes it. */
  readonly inAll: boolean
  readonly columns: readonly Column[]
}

const column = (name: string, value: Column['value'], priority: 0 | 1 = 0): Column => ({
  name,
  priority,
  value,
})
const name = column('Name', ({ metadata }) => metadata.name)
const age = column('Age', ({ metadata }) => ageOf(metadata.creationTimestamp))

const kindIn = (
  group: Kind['group'],
  resource: string,
  kind: string,
  shortNames: readonly string[],
  columns: readonly Column[],
  more: { namespaced?: boolean; inAll?: boolean } = {},
): Kind => ({
  group,
  resource,
  kind,
  shortNames,
  namespaced: more.namespaced ?? true,
  inAll: more.inAll ?? false,
  columns: [name, ...columns, age],
})

const core = (
  ...kind: Parameters<typeof kindIn> extends [unknown, ...infer Rest] ? Rest : never
): Kind => kindIn('', ...kind)

/** All kinds. */
export const kinds: readonly Kind[] = [
  core(
    'configmaps',
    'ConfigMap',
    ['cm'],
    [column('Data', (o) => Object.keys(objectAt(o, 'data')).length)],
  ),
  kindIn(
    'apps',
    'deployments',
    'Deployment',
    ['deploy'],
    [
      column('Ready', (o) => `${replicas(o, 'readyReplicas')}/${replicas(o, 'replicas')}`),
      column('Up-to-date', (o) => replicas(o, 'updatedReplicas')),
      column('Available', (o) => replicas(o, 'availableReplicas')),
    ],
    { inAll: true },
  ),
  core(
    'namespaces',
    'Namespace',
    ['ns'],
    [column('Status', (o) => stringAt(o, 'status', 'phase'))],
    {
      namespaced: false,
    },
  ),
  core(
    'nodes',
    'Node',
    ['no'],
    [
      column('Status', () => 'Ready'),
      column('Roles', () => '<none>'),
      column('Version', (o) => stringAt(o, 'status', 'nodeInfo', 'kubeletVersion')),
    ],
    { namespaced: false },
  ),
  core(
    'pods',
    'Pod',
    ['po'],
    [
      column('Ready', readyContainers),
      column('Status', (o) => stringAt(o, 'status', 'phase')),
      column('Restarts', () => '0'),
      column('IP', (o) => stringAt(o, 'status', 'podIP') || '<none>', 1),
      column('Node', (o) => stringAt(o, 'spec', 'nodeName') || '<none>', 1),
    ],
    { inAll: true },
  ),
  core(
    'secrets',
    'Secret',
    [],
    [
      column('Type', (o) => stringAt(o, 'type')),
      column('Data', (o) => Object.keys(objectAt(o, 'data')).length),
    ],
  ),
  core('serviceaccounts', 'ServiceAccount', ['sa'], []),
  core(
    'services',
    'Service',
    ['svc'],
    [
      column('Type', (o) => stringAt(o, 'spec', 'type')),
      column('Cluster-IP', (o) => stringAt(o, 'spec', 'clusterIP') || '<none>'),
      column('Port(s)', servicePorts),
    ],
    { inAll: true },
  ),
]

/** The kind of a resource, by its group and its plural name in lower case. */
export function kindOf(group: string, resource: string): Kind | undefined {
  return kinds.find((kind) => kind.group === group && kind.resource === resource)
}

/** `v1`, or the group and `v1`. */
export function apiVersionOf({ group }: Pick<Kind, 'group'>): string {
  return group === '' ? 'v1' : `${group}/v1`
}

function readyContainers(pod: KubernetesObject): string {
  const statuses = listAt(pod, 'status', 'containerStatuses')
  const ready = statuses.filter((status) => isJson(status) && status['ready'] === true)
  return `${ready.length}/${listAt(pod, 'spec', 'containers').length}`
}

function replicas(deployment: KubernetesObject, field: string): number {
  const count = objectAt(deployment, 'status')[field]
  return typeof count === 'number' ? count : 0
}

function servicePorts(service: KubernetesObject): string {
  const ports = listAt(service, 'spec', 'ports').filter(isJson)
  return ports.map((port) => `${String(port['port'])}/${String(port['protocol'])}`).join(',')
}

/** The age as `kubectl get` formats it: two units for a short time, one unit for a long time. */
function ageOf(timestamp: string): string {
  const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(timestamp)) / 1000))
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10 && seconds % 60 > 0) return `${minutes}m${seconds % 60}s`
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`
}

/** All objects of the playground, in memory, with a history for watches. */
import { randomUUID } from 'node:crypto'
import { apiVersionOf, kindOf, type Kind } from './kinds.ts'
import {
  objectAt,
  timestamp,
  type Json,
  type KubernetesObject,
  type ObjectMeta,
} from './objects.ts'
import { Refusal } from './status.ts'

/** A change, as watches receive it. */
export interface Change {
  readonly version: number
  readonly kind: Kind
  readonly before: KubernetesObject | undefined
  readonly after: KubernetesObject | undefined
}

/** The key of an object; `namespace` is `''` for kinds that are not namespaced. */
export interface Key {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

export interface Store {
  /** The version of the last change. */
  readonly version: number
  /** Throws a Refusal (NotFound) if the object does not exist. */
  get(key: Key): KubernetesObject
  find(key: Key): KubernetesObject | undefined
  /** Ordered by namespace and name; an empty namespace means all. */
  list(kind: Kind, namespace: string): readonly KubernetesObject[]
  /**
   * Returns the object as it is stored, or with `dryRun` as it would be. Throws a Refusal
   * (AlreadyExists; NotFound for the namespace).
   */
  create(key: Key, object: Json, dryRun?: boolean): KubernetesObject
  /** Like create. Throws a Refusal (NotFound; Conflict if `object` has another resource version). */
  replace(key: Key, object: Json, dryRun?: boolean): KubernetesObject
  /** Removes an object; for a namespace, also its content. Throws a Refusal (NotFound). */
  remove(key: Key): KubernetesObject
  /**
   * Calls back for each change since a version, and then for each new change until the returned
   * function is called. Throws a Refusal (Expired) when the version is too old.
   */
  watch(since: number, onChange: (change: Change) => void): () => void
}

/** How many changes are kept for watches that start at an earlier version. */
const HISTORY_LENGTH = 1_000

const keyOf = ({ kind, namespace, name }: Key): string =>
  `${kind.group}/${kind.resource}/${namespace}/${name}`

/** Creates an empty store. */
export function createStore(): Store {
  const objects = new Map<string, KubernetesObject>()
  const history: Change[] = []
  const watchers = new Set<(change: Change) => void>()
  let version = 1

  const publish = (change: Change): void => {
    history.push(change)
    if (history.length > HISTORY_LENGTH) history.shift()
    for (const watcher of watchers) watcher(change)
  }
  const put = (
    key: Key,
    before: KubernetesObject | undefined,
    object: Json,
    dryRun: boolean,
  ): KubernetesObject => {
    const after = storedForm(key, object, String(dryRun ? version : version + 1), before?.metadata)
    if (dryRun) return after
    version += 1
    objects.set(keyOf(key), after)
    publish({ version, kind: key.kind, before, after })
    return after
  }
  const drop = (key: Key, before: KubernetesObject): void => {
    objects.delete(keyOf(key))
    version += 1
    publish({ version, kind: key.kind, before, after: undefined })
  }
  const store: Store = {
    get version() {
      return version
    },
    find: (key) => objects.get(keyOf(key)),
    get: (key) => {
      const found = store.find(key)
      if (found === undefined) throw notFound(key.kind.resource, key.name)
      return found
    },
    list: (kind, namespace) =>
      [...objects.keys()]
        .filter((key) =>
          key.startsWith(
            `${kind.group}/${kind.resource}/${namespace === '' ? '' : `${namespace}/`}`,
          ),
        )
        .sort()
        .flatMap((key) => objects.get(key) ?? []),
    create: (key, object, dryRun = false) => {
      if (key.kind.namespaced && !objects.has(`/namespaces//${key.namespace}`)) {
        throw notFound('namespaces', key.namespace)
      }
      if (store.find(key) !== undefined) {
        const { resource } = key.kind
        throw new Refusal('AlreadyExists', `${resource} "${key.name}" already exists`, {
          name: key.name,
          kind: resource,
        })
      }
      return put(key, undefined, object, dryRun)
    },
    replace: (key, object, dryRun = false) => {
      const before = store.get(key)
      const { resourceVersion } = objectAt(object, 'metadata')
      if (![undefined, '', before.metadata.resourceVersion].includes(resourceVersion as string)) {
        throw new Refusal(
          'Conflict',
          `Operation cannot be fulfilled on ${key.kind.resource} "${key.name}": the object has been modified; please apply your changes to the latest version and try again`,
          { name: key.name, kind: key.kind.resource },
        )
      }
      return put(key, before, object, dryRun)
    },
    remove: (key) => {
      const before = store.get(key)
      if (key.kind.resource === 'namespaces') {
        for (const [inside, object] of [...objects]) {
          const [group = '', resource = ''] = inside.split('/')
          const kind = kindOf(group, resource)
          if (object.metadata.namespace !== key.name || kind === undefined) continue
          drop({ kind, namespace: key.name, name: object.metadata.name }, object)
        }
      }
      drop(key, before)
      return before
    },
    watch: (since, onChange) => {
      const oldest = history[0]?.version ?? version
      if (since < oldest - 1) {
        throw new Refusal('Expired', `too old resource version: ${since} (${oldest})`)
      }
      for (const change of history) if (change.version > since) onChange(change)
      watchers.add(onChange)
      return () => watchers.delete(onChange)
    },
  }
  return store
}

/** An object with the fields that only the server sets, whatever the client sent. */
function storedForm(
  { kind, namespace, name }: Key,
  object: Json,
  resourceVersion: string,
  before: ObjectMeta | undefined,
): KubernetesObject {
  return {
    ...object,
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: {
      ...objectAt(object, 'metadata'),
      name,
      ...(kind.namespaced ? { namespace } : {}),
      uid: before?.uid ?? randomUUID(),
      resourceVersion,
      creationTimestamp: before?.creationTimestamp ?? timestamp(),
    },
  }
}

function notFound(resource: string, name: string): Refusal {
  return new Refusal('NotFound', `${resource} "${name}" not found`, { name, kind: resource })
}

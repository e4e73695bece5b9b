/** What is in the playground when it opens. */
import { nodeName, withDefaults } from './defaults.ts'
import { gitVersion } from './discovery.ts'
import { kinds } from './kinds.ts'
import { objectAt, stringAt, type Json } from './objects.ts'
import type { Store } from './store.ts'

const note = 'Nothing here is real: the Gatehouse playground keeps objects in memory.'

const pod = (namespace: string, name: string): Json => ({
  kind: 'Pod',
  metadata: { namespace, name, labels: { app: name }, annotations: { playground: note } },
  spec: { containers: [{ name: 'main', image: 'none.invalid/nothing-runs-here' }] },
})

const objects: readonly Json[] = [
  ...['default', 'kube-system', 'team-a'].map((name) => ({
    kind: 'Namespace',
    metadata: { name },
  })),
  {
    kind: 'Node',
    metadata: { name: nodeName },
    status: { nodeInfo: { kubeletVersion: gitVersion } },
  },
  ...['default', 'kube-system', 'team-a'].map((namespace) => ({
    kind: 'ServiceAccount',
    metadata: { namespace, name: 'default' },
  })),
  pod('default', 'web'),
  pod('default', 'worker'),
  pod('team-a', 'api'),
  {
    kind: 'Service',
    metadata: { namespace: 'default', name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80 }] },
  },
  {
    kind: 'ConfigMap',
    metadata: { namespace: 'default', name: 'welcome' },
    data: { note },
  },
]

/** Puts them into an empty store. */
export function seed(store: Store): void {
  for (const object of objects) {
    const kind = kinds.find((candidate) => candidate.kind === object['kind'])
    if (kind === undefined) throw new Error(`no kind ${String(object['kind'])}`)
    const metadata = objectAt(object, 'metadata')
    const key = {
      kind,
      namespace: stringAt(metadata, 'namespace'),
      name: stringAt(metadata, 'name'),
    }
    store.create(key, withDefaults(kind.kind, object))
  }
}

/** The initial objects of the playground. */
import { NODE_NAME, withDefaults } from './defaults.ts'
import { GIT_VERSION } from './discovery.ts'
import { kinds } from './kinds.ts'
import { objectAt, stringAt, type Json } from './objects.ts'
import type { Store } from './store.ts'

const NOTE = 'Nothing here is real: the Gatehouse playground keeps objects in memory.'

const pod = (namespace: string, name: string): Json => ({
  kind: 'Pod',
  metadata: { namespace, name, labels: { app: name }, annotations: { playground: NOTE } },
  spec: { containers: [{ name: 'main', image: 'none.invalid/nothing-runs-here' }] },
})

const objects: readonly Json[] = [
  ...['default', 'kube-system', 'team-a'].map((name) => ({
    kind: 'Namespace',
    metadata: { name },
  })),
  {
    kind: 'Node',
    metadata: { name: NODE_NAME },
    status: { nodeInfo: { kubeletVersion: GIT_VERSION } },
  },
  ...['default', 'kube-system', 'team-a'].map((namespace) => ({
    kind: 'ServiceAccount',
    metadata: { namespace, name: 'default' },
  })),
  pod('default', 'web'),
  pod('default', 'worker'),
  pod('team-a', 'api'),
  {
    kind: 'Deployment',
    metadata: { namespace: 'default', name: 'web', annotations: { playground: NOTE } },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'main', image: 'none.invalid/nothing-runs-here' }] },
      },
    },
  },
  {
    kind: 'Service',
    metadata: { namespace: 'default', name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80 }] },
  },
  {
    kind: 'ConfigMap',
    metadata: { namespace: 'default', name: 'welcome' },
    data: { note: NOTE },
  },
]

/** Adds the initial objects to an empty store. */
export function seed(store: Store): void {
  for (const object of objects) {
    const kind = kinds.find((candidate) => candidate.kind === object['kind'])
    if (kind === undefined) throw new Error(`unknown kind ${String(object['kind'])}`)
    const metadata = objectAt(object, 'metadata')
    const key = {
      kind,
      namespace: stringAt(metadata, 'namespace'),
      name: stringAt(metadata, 'name'),
    }
    store.create(key, withDefaults(kind.kind, object))
  }
}

/** Adds the fields to new objects that controllers and a kubelet would set. */
import { isJson, listAt, objectAt, stringAt, timestamp, type Json } from './objects.ts'

/** The name of the only node, which runs nothing. */
export const NODE_NAME = 'playground'

/** A new object as it would look shortly after its creation. */
export function withDefaults(kind: string, object: Json): Json {
  switch (kind) {
    case 'Deployment':
      return deployment(object)
    case 'Namespace':
      return { ...object, status: { phase: 'Active' } }
    case 'Pod':
      return pod(object)
    case 'Secret':
      return { type: 'Opaque', ...object }
    case 'Service':
      return service(object)
    default:
      return object
  }
}

/** It never has pods: nothing runs here. */
function deployment(object: Json): Json {
  const spec = { replicas: 1, ...objectAt(object, 'spec') }
  const { replicas } = spec
  return {
    ...object,
    spec,
    status: {
      ...{ replicas, updatedReplicas: replicas, readyReplicas: replicas },
      availableReplicas: replicas,
    },
  }
}

function pod(object: Json): Json {
  const startedAt = timestamp()
  const containers = listAt(object, 'spec', 'containers').filter(isJson)
  return {
    ...object,
    spec: { restartPolicy: 'Always', nodeName: NODE_NAME, ...objectAt(object, 'spec') },
    status: {
      phase: 'Running',
      podIP: '192.0.2.1',
      startTime: startedAt,
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: startedAt }],
      containerStatuses: containers.map((container) => ({
        name: container['name'],
        image: container['image'],
        imageID: '',
        ready: true,
        restartCount: 0,
        state: { running: { startedAt } },
      })),
    },
  }
}

function service(object: Json): Json {
  const ports = listAt(object, 'spec', 'ports').filter(isJson)
  const type = stringAt(object, 'spec', 'type') || 'ClusterIP'
  return {
    ...object,
    spec: {
      clusterIP: '192.0.2.10',
      ...objectAt(object, 'spec'),
      type,
      ports: ports.map((port) => ({ protocol: 'TCP', targetPort: port['port'], ...port })),
    },
    status: { loadBalancer: {} },
  }
}

/** Which requests may run long or change something, and which class they have for the limits. */
import type { RequestClass, RequestInfo } from './types.ts'

/**
 * kube-apiserver's `BasicLongRunningRequestCheck` with kube-apiserver's own verbs and subresources
 * (apiserver/pkg/server/filters/longrunning.go, kubernetes/pkg/controlplane/apiserver/config.go).
 * These requests do not have a deadline.
 */
export function isLongRunning(info: RequestInfo): boolean {
  if (info.verb === 'watch' || info.verb === 'proxy') return true
  return info.isResourceRequest
    ? isLongRunningSubresource(info.subresource)
    : info.path.startsWith('/debug/pprof/')
}

function isLongRunningSubresource(subresource: string): boolean {
  switch (subresource) {
    case 'attach':
    case 'exec':
    case 'log':
    case 'portforward':
    case 'proxy':
      return true
    default:
      return false
  }
}

/**
 * Whether the API server forwards the request to a process in the cluster: exec, attach and
 * portforward of pods, and proxy of pods, services and nodes, in any version of the core group; and
 * the legacy prefix `proxy` of any group. Apart from that prefix the verb is ignored, since it is
 * not conclusive (a WebSocket exec is `get`, OPTIONS is `''`).
 */
export function isConnect(info: RequestInfo): boolean {
  if (!info.isResourceRequest) return false
  if (info.verb === 'proxy') return true
  if (info.apiGroup !== '') return false
  switch (info.resource) {
    case 'pods':
      return isPodConnection(info.subresource)
    case 'services':
    case 'nodes':
      return info.subresource === 'proxy'
    default:
      return false
  }
}

function isPodConnection(subresource: string): boolean {
  return (
    subresource === 'exec' ||
    subresource === 'attach' ||
    subresource === 'portforward' ||
    subresource === 'proxy'
  )
}

/**
 * Whether a request certainly changes nothing and reaches no process in the cluster. The method counts
 * beside the verb, which is `watch` for every method under the legacy prefix `/watch/`.
 */
export function isReadOnly(method: string, info: RequestInfo): boolean {
  if ((method !== 'GET' && method !== 'HEAD') || isConnect(info)) return false
  switch (info.verb) {
    case 'get':
    case 'head':
    case 'list':
    case 'watch':
      return true
    default:
      return false
  }
}

/**
 * Whether the API server may switch protocols for the request: to SPDY for connections to processes
 * by GET and POST (kubernetes/pkg/registry/core/pod/rest/subresources.go), to WebSocket, which
 * requires GET, for every long-running request (apiserver/pkg/endpoints/handlers/watch.go,
 * apiserver/pkg/util/wsstream). For other requests the API server would ignore the upgrade and
 * carry them out. Subresources of aggregated APIs (KubeVirt's `console`) are the exception and are
 * not supported: kube-apiserver's rules classify them neither as long-running nor as `connect`.
 */
export function isUpgradable(
  info: RequestInfo,
  method: string,
  protocol: 'websocket' | 'SPDY/3.1',
): boolean {
  if (!info.isResourceRequest) return false
  return protocol === 'websocket'
    ? method === 'GET' && isLongRunning(info)
    : (method === 'GET' || method === 'POST') && isConnect(info)
}

/**
 * Returns the class of a request for the limits. `stream` is every request without a deadline: all
 * long-running ones, which include those of {@link isConnect} and everything that can be upgraded.
 * An `Upgrade` header on a write does not make it a stream.
 *
 * A log without `follow` is a stream too: it lasts as long as its client reads. If the query
 * decided, a spelling of `follow` that Go reads differently would hold a slot of the short requests
 * forever.
 *
 * Verbs that Kubernetes does not define (OPTIONS on a resource, methods other than GET and HEAD
 * elsewhere) are writes.
 */
export function requestClass(info: RequestInfo): RequestClass {
  if (isLongRunning(info)) return 'stream'
  switch (info.verb) {
    case 'list':
      return 'list'
    case 'get':
    case 'head':
      return 'read'
    default:
      return 'write'
  }
}

/** Which requests may last, and what the limits count them as. */
import type { RequestClass, RequestInfo } from './types.ts'

/**
 * kube-apiserver's `BasicLongRunningRequestCheck` with the words that it is given there
 * (apiserver/pkg/server/filters/longrunning.go, kubernetes/pkg/controlplane/apiserver/config.go):
 * these get no deadline.
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
 * Whether the API server hands the request on to a process in the cluster: exec, attach and
 * portforward of pods, and proxy of pods, services and nodes, in any version of the core group; and
 * the legacy prefix `proxy` of any group. Otherwise the verb says nothing (a WebSocket exec is `get`,
 * OPTIONS is `''`), so it does not count.
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
 * Whether the API server may answer with a switch to the protocol: SPDY for connections to processes
 * by kubectl's methods (kubernetes/pkg/registry/core/pod/rest/subresources.go takes GET and POST),
 * WebSocket, which is a GET, for whatever has no deadline (apiserver/pkg/endpoints/handlers/watch.go,
 * apiserver/pkg/util/wsstream). Anything else it would carry out as if nothing had been asked, but for
 * subresources of aggregated APIs (KubeVirt's `console`), which are not served: kube-apiserver's own
 * rules say nothing of them, neither that they last nor that they are `connect`.
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
 * What the limits count the request as. `stream` is whatever has no deadline on its way upstream:
 * every long-running request, so each connection that {@link isConnect} names too, and with that all
 * that may be an upgrade. Asking for one makes no stream of a write.
 * A log without `follow` is one of them: it lasts as long as its reader likes, and to count it by
 * what the query says would let whoever finds a spelling that Go reads otherwise hold a slot of the
 * short requests for ever.
 *
 * Verbs that are none of Kubernetes' own (OPTIONS on a resource, and methods other than GET and HEAD
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

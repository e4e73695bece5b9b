/** The parsed request target; the string that is authorized is the one that is forwarded. */
export interface Target {
  /** Exactly as it is sent upstream: the path and, if there is one, `?query`. */
  readonly raw: string
  /** Percent-decoded path, as kube-apiserver's `req.URL.Path`. */
  readonly path: string
  /** The query without `?`; empty when there is none. */
  readonly rawQuery: string
}

/**
 * kube-apiserver's `request.RequestInfo` (apiserver/pkg/endpoints/request/requestinfo.go); absent
 * strings are `''`, as in Go.
 */
export interface RequestInfo {
  readonly isResourceRequest: boolean
  readonly path: string
  readonly verb: string
  readonly apiPrefix: string
  readonly apiGroup: string
  readonly apiVersion: string
  readonly namespace: string
  readonly resource: string
  readonly subresource: string
  readonly name: string
  readonly parts: readonly string[]
  readonly fieldSelector: string
  readonly labelSelector: string
}

/** Classes with limits of their own. `stream`: watch, logs, exec, attach, port-forward, proxy. */
export type RequestClass = 'read' | 'write' | 'list' | 'stream'

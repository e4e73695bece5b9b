/**
 * Resolves method and target to a `RequestInfo`: an exact port of kube-apiserver's
 * `RequestInfoFactory` (apiserver/pkg/endpoints/request/requestinfo.go) with the prefixes `api` and
 * `apis`. kube-apiserver resolves the forwarded URL again; test/request/vectors.jsonl holds the
 * results of its Go code.
 */
import { StatusError } from '../status.ts'
import { decodeListOptions, selectorsOf } from './list-options.ts'
import type { RequestInfo, Target } from './types.ts'

/** The fields that the query can change. */
interface Resolved {
  verb: string
  name: string
  fieldSelector: string
  labelSelector: string
}

/**
 * In characters. Queries of clients are shorter, except for exec commands, where the path is
 * enough.
 */
const MAX_UNAUTHENTICATED_QUERY_LENGTH = 1_024

/**
 * Whether a query is too long to be parsed before authentication: thousands of selectors take
 * milliseconds.
 */
export function isQueryLong({ rawQuery }: Target): boolean {
  return rawQuery.length > MAX_UNAUTHENTICATED_QUERY_LENGTH
}

/**
 * Resolves a request without its query, for the audit record of a request with a long query until
 * it is authenticated: a watch counts as a list, and selectors are ignored.
 *
 * @throws StatusError as `resolveRequestInfo` does
 */
export function resolveWithoutQuery(method: string, target: Target): RequestInfo {
  return resolveRequestInfo(method, { ...target, rawQuery: '' })
}

/**
 * Resolves a target that `parseTarget` has accepted. It does not check targets itself: any other
 * target resolves as in kube-apiserver too.
 *
 * @param method in upper case
 * @throws StatusError 400 when nothing follows a legacy `proxy` or `watch` prefix, where
 * kube-apiserver responds with 500 before authentication
 */
export function resolveRequestInfo(method: string, target: Target): RequestInfo {
  const segments = splitPath(target.path)
  const { length } = segments
  const prefix = length < 3 ? '' : part(segments, 0)
  if (prefix === 'api') return resolveResource(method, target, segments, 1)
  if (prefix !== 'apis') return nonResource(method, target.path, '')
  return length < 4
    ? nonResource(method, target.path, prefix)
    : resolveResource(method, target, segments, 2)
}

function nonResource(method: string, path: string, apiPrefix: string): RequestInfo {
  return {
    isResourceRequest: false,
    path,
    verb: method.toLowerCase(),
    apiPrefix,
    apiGroup: '',
    apiVersion: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    parts: [],
    fieldSelector: '',
    labelSelector: '',
  }
}

/** @param versionAt index of the API version, which is not the last segment */
function resolveResource(
  method: string,
  target: Target,
  segments: readonly string[],
  versionAt: number,
): RequestInfo {
  let resourceAt = versionAt + 1
  const special = specialVerb(segments, resourceAt)
  if (special !== '') resourceAt++

  let namespace = ''
  if (segments[resourceAt] === 'namespaces') {
    namespace = part(segments, resourceAt + 1)
    if (isNamespacedResource(segments[resourceAt + 2])) resourceAt += 2
  }

  const parts = segments.slice(resourceAt)
  const resolved: Resolved = {
    verb: special === '' ? methodVerb(method) : special,
    name: part(parts, 1),
    fieldSelector: '',
    labelSelector: '',
  }
  if (resolved.name === '') applyQuery(resolved, target.rawQuery)
  return {
    isResourceRequest: true,
    path: target.path,
    verb: resolved.verb,
    apiPrefix: part(segments, 0),
    apiGroup: versionAt === 1 ? '' : part(segments, 1),
    apiVersion: part(segments, versionAt),
    namespace,
    resource: part(parts, 0),
    subresource: special === 'proxy' ? '' : part(parts, 2),
    name: resolved.name,
    parts,
    fieldSelector: resolved.fieldSelector,
    labelSelector: resolved.labelSelector,
  }
}

function part(parts: readonly string[], at: number): string {
  return parts[at] ?? ''
}

/**
 * The legacy prefix of `/api/v1/proxy/…` and `/api/v1/watch/…`, for any method; `''` for other
 * paths.
 */
function specialVerb(segments: readonly string[], at: number): '' | 'proxy' | 'watch' {
  const word = segments[at]
  if (word !== 'proxy' && word !== 'watch') return ''
  if (at + 1 < segments.length) return word
  throw new StatusError(
    'BadRequest',
    `invalid request target: the path names no resource after "${word}"`,
  )
}

/**
 * Whether the segment after `namespaces/<name>/` is a resource, and not a subresource of the
 * namespace.
 */
function isNamespacedResource(segment: string | undefined): boolean {
  return segment !== undefined && segment !== 'status' && segment !== 'finalize'
}

/** `''` for OPTIONS, as in kube-apiserver, where it is a resource request too. */
function methodVerb(method: string): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      return 'get'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return 'delete'
    default:
      return ''
  }
}

/**
 * Applies the query of a request without a name: `get` becomes list or watch, and `delete` becomes
 * deletecollection. These have selectors; a `watch` from the path does not.
 */
function applyQuery(resolved: Resolved, rawQuery: string): void {
  if (resolved.verb === 'get') {
    if (rawQuery === '') {
      resolved.verb = 'list'
      return
    }
    const options = decodeListOptions(rawQuery)
    resolved.verb = options.watch ? 'watch' : 'list'
    resolved.name = options.name
    resolved.fieldSelector = options.fieldSelector
    resolved.labelSelector = options.labelSelector
  } else if (resolved.verb === 'delete') {
    resolved.verb = 'deletecollection'
    if (rawQuery === '') return
    const { fieldSelector, labelSelector } = selectorsOf(rawQuery)
    resolved.fieldSelector = fieldSelector
    resolved.labelSelector = labelSelector
  }
}

/**
 * Trims slashes at both ends and splits at the others; empty segments in between stay, as in Go.
 * This loop replaces `split` because it is half of this file's cost per request.
 */
function splitPath(path: string): string[] {
  let start = 0
  let end = path.length
  while (start < end && path.charCodeAt(start) === 0x2f) start++
  while (end > start && path.charCodeAt(end - 1) === 0x2f) end--
  const segments: string[] = []
  if (start === end) return segments
  for (;;) {
    const slash = path.indexOf('/', start)
    if (slash === -1 || slash >= end) break
    segments.push(path.slice(start, slash))
    start = slash + 1
  }
  segments.push(path.slice(start, end))
  return segments
}

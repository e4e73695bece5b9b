/**
 * What a request asks of the API: an exact port of kube-apiserver's `RequestInfoFactory`
 * (apiserver/pkg/endpoints/request/requestinfo.go) with the prefixes `api` and `apis`. Routing
 * upstream reads the URL by itself; test/request/vectors.jsonl holds what the Go code makes of it.
 */
import { StatusError } from '../status.ts'
import { decodeListOptions, selectorsOf } from './list-options.ts'
import type { RequestInfo, Target } from './types.ts'

/** The fields that path and method decide; the query may turn `get` into more. */
interface Resolved {
  verb: string
  name: string
  fieldSelector: string
  labelSelector: string
}

/** Characters. The queries of clients are shorter, but for commands of exec, whose path says enough. */
const MAX_STRANGER_QUERY_LENGTH = 1_024

/**
 * Whether a query is too long to be read for somebody who is not known yet: thousands of selectors
 * cost milliseconds.
 */
export function isQueryLong({ rawQuery }: Target): boolean {
  return rawQuery.length > MAX_STRANGER_QUERY_LENGTH
}

/**
 * What the path alone says, for the record of a request with a long query until its caller is known:
 * a watch counts as list, and no selector names an object.
 *
 * @throws StatusError as `resolveRequestInfo`
 */
export function resolveWithoutQuery(method: string, target: Target): RequestInfo {
  return resolveRequestInfo(method, { ...target, rawQuery: '' })
}

/**
 * Resolves a target that `parseTarget` accepted; the same for any other, since what is refused is
 * not decided here.
 *
 * @param method upper case
 * @throws StatusError 400 where kube-apiserver answers 500 before it has authenticated anyone:
 * nothing follows a legacy `proxy` or `watch` prefix
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

/** @param versionAt where the API version stands; a segment follows it */
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

/** `/api/v1/proxy/…` and `/api/v1/watch/…`, whatever the method; `''` when the path is none of them. */
function specialVerb(segments: readonly string[], at: number): '' | 'proxy' | 'watch' {
  const word = segments[at]
  if (word !== 'proxy' && word !== 'watch') return ''
  if (at + 1 < segments.length) return word
  throw new StatusError(
    'BadRequest',
    `invalid request target: the path names no resource behind "${word}"`,
  )
}

/** What follows `namespaces/<name>/` is a resource of its own, unless it is a namespace's subresource. */
function isNamespacedResource(segment: string | undefined): boolean {
  return segment !== undefined && segment !== 'status' && segment !== 'finalize'
}

/** `''` for OPTIONS, as in kube-apiserver, where it stays a resource request. */
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
 * Without a name `get` is list or watch, and `delete` is deletecollection; these have selectors, which
 * a `watch` from the path has not.
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
 * What lies between the leading and the trailing slashes, split at slashes; empty segments inside
 * stay, as in Go. By hand, since this is half of what a request costs here.
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

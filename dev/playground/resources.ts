/** The verbs of the API: reads and changes the objects of a route. */
import { randomBytes } from 'node:crypto'
import { withDefaults } from './defaults.ts'
import { apiVersionOf } from './kinds.ts'
import { isJson, objectAt, stringAt, type Json, type KubernetesObject } from './objects.ts'
import { APPLY_PATCH, applyPatchTo, jsonOf, parseBody } from './patch.ts'
import { decodeProtobuf, PROTOBUF } from './protobuf.ts'
import type { Route } from './route.ts'
import { selectorOf } from './selectors.ts'
import { Refusal } from './status.ts'
import type { Key, Store } from './store.ts'

/** A request for objects, after its body has been read. */
export interface ResourceRequest {
  readonly method: string
  readonly route: Route
  readonly query: URLSearchParams
  /** Without parameters, in lower case. */
  readonly mediaType: string
  readonly body: Buffer
}

/** The result: one object (code 201 if it was created), several objects, or a Status. */
export type ResourceResponse =
  | { readonly code: 200 | 201; readonly object: KubernetesObject }
  | { readonly code: 200; readonly objects: readonly KubernetesObject[] }
  | { readonly code: 200; readonly status: Json }

/** Performs a request. Throws a Refusal. */
export function perform(store: Store, request: ResourceRequest): ResourceResponse {
  const { method, route } = request
  const onCollection = route.name === ''
  switch (method) {
    case 'GET':
      return onCollection
        ? { code: 200, objects: listed(store, request) }
        : { code: 200, object: store.get(route) }
    case 'POST':
      if (onCollection) return create(store, request)
      break
    case 'PUT':
      if (!onCollection) return update(store, request)
      break
    case 'PATCH':
      if (!onCollection) return patch(store, request)
      break
    case 'DELETE':
      return remove(store, request, onCollection ? listed(store, request) : [store.get(route)])
  }
  throw new Refusal(
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    { kind: route.kind.resource },
  )
}

function listed(store: Store, { route, query }: ResourceRequest): readonly KubernetesObject[] {
  return store.list(route.kind, route.namespace).filter(selectorOf(query))
}

function create(store: Store, request: ResourceRequest): ResourceResponse {
  const { route } = request
  const object = objectOf(request)
  const metadata = objectAt(object, 'metadata')
  const generateName = stringAt(metadata, 'generateName')
  const given = stringAt(metadata, 'name')
  const name = given === '' && generateName !== '' ? generateName + suffix() : given
  const key = { ...route, name }
  checkObject(object, key)
  return {
    code: 201,
    object: store.create(key, withDefaults(route.kind.kind, object), isDryRun(request)),
  }
}

function update(store: Store, request: ResourceRequest): ResourceResponse {
  const object = objectOf(request)
  checkObject(object, request.route)
  return { code: 200, object: store.replace(request.route, object, isDryRun(request)) }
}

function patch(store: Store, request: ResourceRequest): ResourceResponse {
  const { route, mediaType, body } = request
  if (mediaType === APPLY_PATCH && store.find(route) === undefined) {
    return create(store, { ...request, mediaType: 'application/yaml' })
  }
  const patched = applyPatchTo(store.get(route), mediaType, body.toString('utf8'))
  checkObject(patched, route)
  return { code: 200, object: store.replace(route, patched, isDryRun(request)) }
}

function remove(
  store: Store,
  request: ResourceRequest,
  objects: readonly KubernetesObject[],
): ResourceResponse {
  const { kind } = request.route
  if (!isDryRun(request)) {
    for (const { metadata } of objects) {
      store.remove({ kind, namespace: metadata.namespace ?? '', name: metadata.name })
    }
  }
  const [only] = objects
  const details =
    request.route.name === '' || only === undefined
      ? { kind: kind.resource }
      : { name: only.metadata.name, kind: kind.resource, uid: only.metadata.uid }
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details }
  return { code: 200, status }
}

/** The object in the body. Throws a Refusal (BadRequest, UnsupportedMediaType). */
function objectOf({ mediaType, body }: ResourceRequest): Json {
  if (mediaType === PROTOBUF) return decodeProtobuf(body)
  if (['', 'application/json', 'application/yaml'].includes(mediaType)) {
    return jsonOf(parseBody(body.toString('utf8')))
  }
  throw new Refusal(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, ${PROTOBUF}`,
  )
}

function checkObject(object: Json, { kind, namespace, name }: Key): void {
  if (object['kind'] !== kind.kind || object['apiVersion'] !== apiVersionOf(kind)) {
    const got = `${String(object['apiVersion'])} ${String(object['kind'])}`
    throw new Refusal(
      'BadRequest',
      `the object is a ${got}, but must be a ${apiVersionOf(kind)} ${kind.kind}`,
    )
  }
  const metadata = objectAt(object, 'metadata')
  if (![undefined, name].includes(metadata['name'] as string | undefined)) {
    throw new Refusal('BadRequest', 'the name of the object does not match the name on the URL')
  }
  if (![undefined, namespace].includes(metadata['namespace'] as string | undefined)) {
    throw new Refusal(
      'BadRequest',
      'the namespace of the provided object does not match the namespace sent on the request',
    )
  }
  checkFields(object, kind.kind, name)
}

/** Checks the few fields on which the rest of the playground relies. */
function checkFields(object: Json, kind: string, name: string): void {
  const invalid = (field: string, what: string): Refusal =>
    new Refusal('Invalid', `${kind} "${name}" is invalid: ${field}: ${what}`, { name, kind })
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name)) {
    throw invalid(
      'metadata.name',
      `Invalid value: ${JSON.stringify(name)}: must be a lowercase RFC 1123 subdomain`,
    )
  }
  for (const map of ['labels', 'annotations']) {
    const values = objectAt(object, 'metadata')[map]
    if (values === undefined || values === null) continue
    if (!isJson(values) || Object.values(values).some((value) => typeof value !== 'string')) {
      throw invalid(`metadata.${map}`, 'Invalid value: must be a map from strings to strings')
    }
  }
  const containers = objectAt(object, 'spec')['containers']
  if (kind === 'Pod' && !(Array.isArray(containers) && containers.length > 0)) {
    throw invalid('spec.containers', 'Required value')
  }
}

function isDryRun({ query }: ResourceRequest): boolean {
  return query.getAll('dryRun').includes('All')
}

function suffix(): string {
  return randomBytes(4).toString('hex').slice(0, 5)
}

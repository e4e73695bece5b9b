/** Handles a request to the playground, from authentication to the response. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { discoveryDocument } from './discovery.ts'
import { userOf, type UserInfo } from './identity.ts'
import { writeLog } from './logs.ts'
import { apiVersionOf } from './kinds.ts'
import type { Json, KubernetesObject } from './objects.ts'
import { jsonOf, parseBody } from './patch.ts'
import { perform, type ResourceRequest, type ResourceResponse } from './resources.ts'
import { review } from './reviews.ts'
import { routeOf, type Route } from './route.ts'
import { selectorOf } from './selectors.ts'
import { Refusal, unknownPath } from './status.ts'
import type { Store } from './store.ts'
import { tableOf, wantsTable, type IncludeObject } from './table.ts'
import { writeWatch } from './watch.ts'

const MAX_BODY_BYTES = 3 * 1024 * 1024

export interface HandlerOptions {
  /** The common name of the only client that may impersonate users. */
  readonly proxy: string
}

export interface HandlerEffects {
  readonly store: Store
}

/** Handles one request. Never rejects: every error becomes a response. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** Creates the handler of a store. */
export function createHandler({ proxy }: HandlerOptions, { store }: HandlerEffects): Handler {
  return async (request, response) => {
    const auditId = request.headers['audit-id']
    if (typeof auditId === 'string') response.setHeader('audit-id', auditId)
    response.setHeader('cache-control', 'no-cache, private')
    try {
      const user = userOf(request.socket, request.rawHeaders, proxy)
      await handle(store, user, request, response)
    } catch (error) {
      const refusal =
        error instanceof Refusal
          ? error
          : new Refusal('InternalError', `Internal error occurred: ${String(error)}`)
      if (response.headersSent) response.destroy()
      else sendJson(response, refusal.code, refusal.body())
    }
  }
}

async function handle(
  store: Store,
  user: UserInfo | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(`https://playground${request.url ?? '/'}`)
  const path = url.pathname
  if (['/livez', '/readyz', '/healthz'].includes(path)) {
    response.setHeader('content-type', 'text/plain; charset=utf-8')
    response.end('ok')
    return
  }
  const document = discoveryDocument(path)
  if (user === undefined && path !== '/version') {
    throw new Refusal(
      'Forbidden',
      `forbidden: User "gatehouse" cannot ${(request.method ?? '').toLowerCase()} path "${path}": the playground lets Gatehouse only impersonate users`,
    )
  }
  if (document !== undefined && request.method === 'GET') {
    sendJson(response, 200, document)
    return
  }
  const route = routeOf(path)
  if (route === undefined) {
    await handleReview(user, path, request, response)
    return
  }
  refuseSubresources(route)
  await handleResource(store, route, url.searchParams, request, response)
}

async function handleReview(
  user: UserInfo | undefined,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'POST' || user === undefined) throw unknownPath()
  const body = await readBody(request)
  // The spec is echoed only if it is JSON (kubectl sends protobuf); the status does not depend on it.
  const isReadable = mediaTypeOf(request) === 'application/json'
  const result = review(path, isReadable ? jsonOf(parseBody(body.toString('utf8'))) : {}, user)
  if (result === undefined) throw unknownPath()
  sendJson(response, 201, result)
}

async function handleResource(
  store: Store,
  route: Route,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const accept = request.headers.accept ?? ''
  if (request.method === 'GET' && route.subresource === 'log') {
    response.setHeader('content-type', 'text/plain')
    writeLog(store.get(route), query, response)
    return
  }
  if (request.method === 'GET' && route.name === '' && isTrue(query.get('watch'))) {
    const matches = selectorOf(query)
    response.setHeader('content-type', 'application/json;stream=watch')
    response.flushHeaders()
    const present = (object: KubernetesObject): Json =>
      wantsTable(accept) ? table(route, [object], object.metadata.resourceVersion, query) : object
    writeWatch({ store, route, query, matches, present }, response)
    return
  }
  const resourceRequest: ResourceRequest = {
    method: request.method ?? '',
    route,
    query,
    mediaType: mediaTypeOf(request),
    body: await readBody(request),
  }
  sendResult(store, resourceRequest, perform(store, resourceRequest), accept, response)
}

function sendResult(
  store: Store,
  { route, query }: ResourceRequest,
  result: ResourceResponse,
  accept: string,
  response: ServerResponse,
): void {
  const resourceVersion = String(store.version)
  const asTable = wantsTable(accept)
  if ('status' in result) sendJson(response, result.code, result.status)
  else if ('object' in result) {
    const { object, code } = result
    const version = object.metadata.resourceVersion
    sendJson(response, code, asTable ? table(route, [object], version, query) : object)
  } else if (asTable) {
    sendJson(response, 200, table(route, result.objects, resourceVersion, query))
  } else {
    const { kind } = route
    const list = { kind: `${kind.kind}List`, apiVersion: apiVersionOf(kind) }
    sendJson(response, 200, { ...list, metadata: { resourceVersion }, items: result.objects })
  }
}

function table(
  route: Route,
  objects: readonly KubernetesObject[],
  resourceVersion: string,
  query: URLSearchParams,
): Json {
  const include = query.get('includeObject') ?? 'Metadata'
  if (!['None', 'Metadata', 'Object'].includes(include)) {
    throw new Refusal('BadRequest', `includeObject: unknown value ${JSON.stringify(include)}`)
  }
  return tableOf(route.kind, objects, resourceVersion, include as IncludeObject)
}

/** Refuses subresources that need a container or a network, and unknown ones. */
function refuseSubresources({ kind, subresource }: Route): void {
  if (subresource === '' || subresource === 'status') return
  if (kind.resource === 'pods' && subresource === 'log') return
  if (!['exec', 'attach', 'portforward', 'proxy'].includes(subresource)) throw unknownPath()
  throw new Refusal(
    'BadRequest',
    `the playground runs no containers, so ${kind.resource}/${subresource} does not work: "npm start -- --cluster" starts a real control plane`,
  )
}

function isTrue(text: string | null): boolean {
  return text !== null && text !== '0' && text.toLowerCase() !== 'false'
}

function mediaTypeOf(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_BODY_BYTES) {
      throw new Refusal(
        'RequestEntityTooLarge',
        `Request entity too large: limit is ${MAX_BODY_BYTES}`,
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function sendJson(response: ServerResponse, code: number, body: object): void {
  response.statusCode = code
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify(body)}\n`)
}

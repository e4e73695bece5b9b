/** The life of a request in the playground, top to bottom. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { discoveryDocument } from './discovery.ts'
import { userOf, type UserInfo } from './identity.ts'
import { writeLog } from './logs.ts'
import type { Json, KubernetesObject } from './objects.ts'
import { jsonOf, parseBody } from './patch.ts'
import { perform, type ResourceAnswer, type ResourceRequest } from './resources.ts'
import { review } from './reviews.ts'
import { routeOf, type Route } from './route.ts'
import { selectorOf } from './selectors.ts'
import { Refusal, unknownPath } from './status.ts'
import type { Store } from './store.ts'
import { tableOf, wantsTable, type IncludeObject } from './table.ts'
import { writeWatch } from './watch.ts'

const maxBody = 3 * 1024 * 1024

export interface HandlerOptions {
  readonly store: Store
  /** Common name of the only client that may act on behalf of users. */
  readonly proxy: string
}

/** Answers one request; every way out is an answer. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** Makes the handler of a store. */
export function createHandler({ store, proxy }: HandlerOptions): Handler {
  return async (request, response) => {
    const auditId = request.headers['audit-id']
    if (typeof auditId === 'string') response.setHeader('audit-id', auditId)
    response.setHeader('cache-control', 'no-cache, private')
    try {
      const user = userOf(request.socket, request.rawHeaders, proxy)
      await answer(store, user, request, response)
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

async function answer(
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
      `forbidden: User "gatehouse" cannot ${(request.method ?? '').toLowerCase()} path "${path}": the playground lets Gatehouse do nothing but act on behalf of users`,
    )
  }
  if (document !== undefined && request.method === 'GET') {
    sendJson(response, 200, document)
    return
  }
  const route = routeOf(path)
  if (route === undefined) {
    await answerReview(user, path, request, response)
    return
  }
  refuseConnections(route)
  await answerResource(store, route, url.searchParams, request, response)
}

async function answerReview(
  user: UserInfo | undefined,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'POST' || user === undefined) throw unknownPath()
  const body = await readBody(request)
  // What is asked is echoed where it can be read (kubectl sends protobuf); the answer is the same.
  const isReadable = mediaTypeOf(request) === 'application/json'
  const answered = review(path, isReadable ? jsonOf(parseBody(body.toString('utf8'))) : {}, user)
  if (answered === undefined) throw unknownPath()
  sendJson(response, 201, answered)
}

async function answerResource(
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
  if (request.method === 'GET' && isTrue(query.get('watch'))) {
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
  sendAnswer(store, resourceRequest, perform(store, resourceRequest), accept, response)
}

function sendAnswer(
  store: Store,
  { route, query }: ResourceRequest,
  answered: ResourceAnswer,
  accept: string,
  response: ServerResponse,
): void {
  const resourceVersion = String(store.version)
  const asTable = wantsTable(accept)
  if ('status' in answered) sendJson(response, answered.code, answered.status)
  else if ('object' in answered) {
    const { object, code } = answered
    const version = object.metadata.resourceVersion
    sendJson(response, code, asTable ? table(route, [object], version, query) : object)
  } else if (asTable) {
    sendJson(response, 200, table(route, answered.objects, resourceVersion, query))
  } else {
    const { kind } = route
    const list = { kind: `${kind.kind}List`, apiVersion: kind.version }
    sendJson(response, 200, { ...list, metadata: { resourceVersion }, items: answered.objects })
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
    throw new Refusal('BadRequest', `includeObject: ${JSON.stringify(include)} is not known`)
  }
  return tableOf(route.kind, objects, resourceVersion, include as IncludeObject)
}

/** What would need a container, or a network to reach one, and other subresources. */
function refuseConnections({ kind, subresource }: Route): void {
  if (subresource === '' || subresource === 'status') return
  if (kind.resource === 'pods' && subresource === 'log') return
  if (!['exec', 'attach', 'portforward', 'proxy'].includes(subresource)) throw unknownPath()
  throw new Refusal(
    'BadRequest',
    `the playground runs no containers, so ${kind.resource}/${subresource} leads nowhere: start with "npm start -- --cluster" for a real control plane`,
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
    if (length > maxBody) {
      throw new Refusal('RequestEntityTooLarge', `Request entity too large: limit is ${maxBody}`)
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

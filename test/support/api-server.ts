/**
 * A fake API server that records its requests, for what a real one cannot show: the bytes that
 * it receives, and responses that no API server sends. It speaks HTTP/1.1 and HTTP/2, and accepts
 * only Gatehouse's certificate.
 */
import { once } from 'node:events'
import { createSecureServer, type Http2ServerRequest } from 'node:http2'
import type { IncomingMessage } from 'node:http'
import type { Duplex, Writable } from 'node:stream'
import type { TLSSocket } from 'node:tls'

import type { Authority, KeyPair } from '../../certs-dev/pki.ts'
import { listenOnLoopback } from '../../dev/loopback.ts'
import {
  createApiServerCertificates,
  type ApiServerCertificates,
} from './api-server-certificates.ts'

export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  /** Pairs of lower-case name and value, without pseudo-headers. */
  readonly headers: readonly (readonly [string, string])[]
  readonly protocol: string
  /** The number of its connection, from 1. */
  readonly connection: number
  /** The part of the body that arrived before the body ended or the connection was closed. */
  body: string
  /** Whether the body ended properly. */
  complete: boolean
}

export type ApiRequest = IncomingMessage | Http2ServerRequest

/** The common part of the responses of both versions. */
export interface ApiResponse extends Writable {
  writeHead(status: number, headers?: Readonly<Record<string, string>>): unknown
}

/** Replaces the default response. The request is recorded in any case. */
export type ApiHandler = (
  request: ApiRequest,
  response: ApiResponse,
  received: ReceivedRequest,
) => void

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

export interface ApiServer {
  readonly url: string
  readonly authority: Authority
  /** Signs client certificates; Gatehouse's own is `gatehouse`. */
  readonly clientAuthority: Authority
  readonly gatehouse: KeyPair
  /** The requests of users, without those of the readiness checks. */
  readonly received: ReceivedRequest[]
  /** The number of connections so far, and of open ones. */
  readonly connections: { total: number; open: number }
  /** The header that names the user in the requests of readiness checks. */
  userHeader: string
  handler: ApiHandler | undefined
  upgradeHandler: UpgradeHandler | undefined
  close(): Promise<void>
}

/** The state of a fake API server that has not received a request. */
export function initialApiServer({
  authority,
  clientAuthority,
  gatehouse,
}: ApiServerCertificates): Omit<ApiServer, 'close'> {
  return {
    url: '',
    authority,
    clientAuthority,
    gatehouse,
    received: [],
    connections: { total: 0, open: 0 },
    userHeader: 'impersonate-user',
    handler: undefined,
    upgradeHandler: undefined,
  }
}

const REVIEW = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

/** Where an API server publishes the CAs that it trusts for clients. This one says that it trusts none. */
export const CLIENT_CAS =
  '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication'

/** All values of a header of a received request, by its lower-case name. */
export function headerValues(received: ReceivedRequest, name: string): string[] {
  return received.headers.filter(([key]) => key === name).map(([, value]) => value)
}

/** Starts a fake API server on a free port of 127.0.0.1. */
export async function startApiServer(): Promise<ApiServer> {
  const certificates = await createApiServerCertificates()
  const { clientAuthority, serving } = certificates
  const server = createSecureServer({
    allowHTTP1: true,
    cert: serving.certificatePem,
    key: serving.keyPem,
    ca: clientAuthority.certificatePem,
    requestCert: true,
    rejectUnauthorized: false,
    // kube-apiserver accepts headers of a megabyte over either protocol (http.DefaultMaxHeaderBytes).
    ...{ maxHeaderSize: 1_048_576 },
    maxHeaderListPairs: 10_000,
    settings: { maxHeaderListSize: 1_048_576 },
  })
  // Nor does Go limit the number of fields.
  Object.assign(server, { maxHeadersCount: 10_000 })
  const numbers = new Map<number, number>()
  const sockets = new Set<TLSSocket>()
  const api: ApiServer = {
    ...initialApiServer(certificates),
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  server.on('secureConnection', (socket: TLSSocket) => {
    socket.setNoDelay(true)
    sockets.add(socket)
    numbers.set(socket.remotePort ?? 0, ++api.connections.total)
    api.connections.open++
    socket.on('error', () => undefined)
    socket.once('close', () => {
      sockets.delete(socket)
      api.connections.open--
    })
  })
  server.on('session', (session) => {
    session.on('error', () => undefined)
  })
  server.on('request', (request: ApiRequest, response: ApiResponse) => {
    const socket = socketOf(request)
    if (!socket.authorized) {
      refuse(response)
      return
    }
    if (request.url === REVIEW) {
      review(request, response, api.userHeader)
      return
    }
    const received = record(request, numbers.get(socket.remotePort ?? 0) ?? 0)
    api.received.push(received)
    response.on('error', () => undefined)
    if (api.handler !== undefined) {
      api.handler(request, response, received)
      return
    }
    request.on('end', () => respond(response, received))
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined)
    api.received.push(record(request, numbers.get(request.socket.remotePort ?? 0) ?? 0))
    if (api.upgradeHandler === undefined) socket.destroy()
    else api.upgradeHandler(request, socket, head)
  })
  const url = `https://127.0.0.1:${await listenOnLoopback(server)}`
  return Object.defineProperty(api, 'url', { value: url })
}

function socketOf(request: ApiRequest): Pick<TLSSocket, 'authorized' | 'remotePort'> {
  const socket: unknown = 'stream' in request ? request.stream.session?.socket : request.socket
  return socket as TLSSocket
}

function record(request: ApiRequest, connection: number): ReceivedRequest {
  const headers: (readonly [string, string])[] = []
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = (request.rawHeaders[i] ?? '').toLowerCase()
    if (!name.startsWith(':')) headers.push([name, request.rawHeaders[i + 1] ?? ''])
  }
  const received: ReceivedRequest = {
    method: request.method ?? '',
    url: request.url ?? '',
    headers,
    protocol: request.httpVersion,
    connection,
    body: '',
    complete: false,
  }
  request.on('error', () => undefined)
  request.on('data', (chunk: Buffer) => (received.body += chunk.toString('latin1')))
  request.on('end', () => (received.complete = true))
  return received
}

/** Responds with the received request as JSON, so that a test can also see it at the client. */
function respond(response: ApiResponse, received: ReceivedRequest): void {
  const kind = received.url === CLIENT_CAS ? 'ConfigMap' : 'Echo'
  const body = JSON.stringify({ kind, ...received })
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
  })
  response.end(body)
}

function refuse(response: ApiResponse): void {
  response.writeHead(401, { 'content-type': 'application/json' })
  response.end('{"kind":"Status","apiVersion":"v1","status":"Failure","code":401}')
}

function review(request: ApiRequest, response: ApiResponse, userHeader: string): void {
  request.resume()
  const username = String(request.headers[userHeader] ?? 'gatehouse')
  response.writeHead(201, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ kind: 'SelfSubjectReview', status: { userInfo: { username } } }))
}

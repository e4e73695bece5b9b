/**
 * A stand-in API server that says what reached it, for what a real one cannot show: the bytes that
 * came, and answers that no API server gives. HTTP/1.1 and HTTP/2; only Gatehouse's certificate is
 * let in.
 */
import { once } from 'node:events'
import { createSecureServer, type Http2ServerRequest } from 'node:http2'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex, Writable } from 'node:stream'
import type { TLSSocket } from 'node:tls'

import type { Authority, KeyPair } from '../../certs-dev/pki.ts'
import {
  createApiServerCertificates,
  type ApiServerCertificates,
} from './api-server-certificates.ts'

export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  /** Lower-case name, value pairs, without pseudo-headers. */
  readonly headers: readonly (readonly [string, string])[]
  readonly protocol: string
  /** Which connection it came on, by number. */
  readonly connection: number
  /** What arrived of the body until it ended or broke off. */
  body: string
  /** Whether the body ended as it should. */
  complete: boolean
}

export type ApiRequest = IncomingMessage | Http2ServerRequest

/** What both versions' responses have in common. */
export interface ApiResponse extends Writable {
  writeHead(status: number, headers?: Readonly<Record<string, string>>): unknown
}

/** Answers instead of the default; the request is recorded either way. */
export type ApiHandler = (
  request: ApiRequest,
  response: ApiResponse,
  received: ReceivedRequest,
) => void

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

export interface ApiServer {
  readonly url: string
  readonly authority: Authority
  /** Signs clients; Gatehouse's own certificate is `gatehouse`. */
  readonly clientAuthority: Authority
  readonly gatehouse: KeyPair
  /** Of users' requests; the readiness reviews are not among them. */
  readonly received: ReceivedRequest[]
  /** Connections so far, and how many are open. */
  readonly connections: { total: number; open: number }
  /** Names the user in the readiness reviews. */
  userHeader: string
  handler: ApiHandler | undefined
  upgradeHandler: UpgradeHandler | undefined
  /** First value of a header of a received request. */
  close(): Promise<void>
}

/** The state of a fake API server that has not received anything. */
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

export function headerValues(received: ReceivedRequest, name: string): string[] {
  return received.headers.filter(([key]) => key === name).map(([, value]) => value)
}

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
    // kube-apiserver takes heads of a megabyte over either protocol (http.DefaultMaxHeaderBytes).
    ...{ maxHeaderSize: 1_048_576 },
    maxHeaderListPairs: 10_000,
    settings: { maxHeaderListSize: 1_048_576 },
  })
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
    request.on('end', () => answer(response, received))
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined)
    api.received.push(record(request, numbers.get(request.socket.remotePort ?? 0) ?? 0))
    if (api.upgradeHandler === undefined) socket.destroy()
    else api.upgradeHandler(request, socket, head)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
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

/** What reached it, as JSON: so a test sees it from the client's side as well. */
function answer(response: ApiResponse, received: ReceivedRequest): void {
  const body = JSON.stringify({ kind: 'Echo', ...received })
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

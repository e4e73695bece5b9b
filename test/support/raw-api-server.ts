/**
 * A fake API server over TLS that responds with the bytes that a test writes, HTTP/1.1 or not.
 * SelfSubjectReviews of the readiness checks and the test's own probes get proper responses.
 */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'

import { createApiServerCertificates } from './api-server-certificates.ts'
import { initialApiServer, type ApiServer, type ReceivedRequest } from './api-server.ts'

export interface RawExchange {
  readonly socket: TLSSocket
  readonly request: ReceivedRequest
  /** Everything received on the connection so far, this request's head included. */
  readonly bytes: () => string
  /**
   * Stops parsing requests on this connection, which now belongs to the script. With `halfOpen` the
   * script has to end it as well.
   */
  readonly take: (options?: { readonly halfOpen: boolean }) => void
  /** Closes the connection with a TCP RST. */
  readonly reset: () => void
  /** Writes latin1. */
  readonly write: (bytes: string | Buffer) => void
}

export interface RawApiServer extends ApiServer {
  /** Called for each request. */
  script: (exchange: RawExchange) => void
}

export const RAW_OK =
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'

interface Head {
  readonly request: ReceivedRequest
  readonly length: number
}

export async function startRawApiServer(): Promise<RawApiServer> {
  const certificates = await createApiServerCertificates()
  const { clientAuthority, serving } = certificates
  const server = createServer({
    cert: serving.certificatePem,
    key: serving.keyPem,
    ca: clientAuthority.certificatePem,
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
    allowHalfOpen: true,
  })
  const sockets = new Set<TLSSocket>()
  const api: RawApiServer = {
    ...initialApiServer(certificates),
    script: ({ write }) => write(RAW_OK),
    async close() {
      for (const socket of sockets) socket.destroy()
      // A failed TLS handshake leaves a TCP connection.
      for (const tcp of accepted.values()) tcp.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  const accepted = new Map<number, Socket>()
  server.on('connection', (tcp: Socket) => {
    accepted.set(tcp.remotePort ?? 0, tcp)
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    const tcp = accepted.get(socket.remotePort ?? 0)
    sockets.add(socket)
    const connection = ++api.connections.total
    api.connections.open++
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      sockets.delete(socket)
      api.connections.open--
    })
    serve({ socket, connection, reset: () => tcp?.resetAndDestroy() }, api)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  return Object.defineProperty(api, 'url', { value: url })
}

interface Connection {
  readonly socket: TLSSocket
  readonly connection: number
  readonly reset: () => void
}

function serve({ socket, connection, reset }: Connection, api: RawApiServer): void {
  let all = ''
  let pending = ''
  let taken = false
  let halfOpen = false
  const write = (bytes: string | Buffer): void => {
    if (socket.writable) socket.write(bytes, 'latin1')
  }
  socket.on('data', (chunk: Buffer) => {
    all += chunk.toString('latin1')
    if (taken) return
    pending += chunk.toString('latin1')
    for (;;) {
      const head = takeHead(pending, connection)
      if (head === undefined) return
      pending = pending.slice(head.length)
      if (!socket.authorized) write('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n')
      else if (!respondsItself(head.request, write)) {
        api.received.push(head.request)
        api.script({
          socket,
          request: head.request,
          bytes: () => all,
          take(options) {
            taken = true
            halfOpen = options?.halfOpen ?? false
          },
          reset,
          write,
        })
      }
    }
  })
  // As a server does that has nothing more to send.
  socket.on('end', () => {
    if (!halfOpen) socket.end()
  })
}

/** The next request, once its body of known length is complete; a script reads a chunked one itself. */
function takeHead(pending: string, connection: number): Head | undefined {
  const headEnd = pending.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const [line = '', ...fields] = pending.slice(0, headEnd).split('\r\n')
  const [method = '', url = ''] = line.split(' ')
  const headers = fields.map((field): readonly [string, string] => {
    const colon = field.indexOf(':')
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()]
  })
  const announced = headers.find(([name]) => name === 'content-length')?.[1]
  const length = headEnd + 4 + Number(announced ?? 0)
  const body = pending.slice(headEnd + 4, length)
  const complete = pending.length >= length
  if (!complete) return undefined
  return {
    request: { method, url, headers, protocol: '1.1', connection, body, complete },
    length,
  }
}

function respondsItself(
  { url, method, headers, body }: ReceivedRequest,
  write: (bytes: string) => void,
) {
  const json = (status: string, value: unknown): void => {
    const text = JSON.stringify(value)
    write(
      `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    )
  }
  if (url.endsWith('/selfsubjectreviews')) {
    const username = headers.find(([name]) => name === 'impersonate-user')?.[1] ?? 'gatehouse'
    json('201 Created', { kind: 'SelfSubjectReview', status: { userInfo: { username } } })
    return true
  }
  if (url.startsWith('/probe/')) {
    json('200 OK', { kind: 'Echo', method, url, body })
    return true
  }
  return false
}

/**
 * A fake API server with hand-written HTTP/2, so that a test can send any frames. SelfSubjectReviews of
 * the readiness checks and the test's own probes, over HTTP/1.1, get proper responses.
 */
import { once } from 'node:events'
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'

import type { KeyPair } from '../../certs-dev/pki.ts'
import { createApiServerCertificates } from './api-server-certificates.ts'
import { initialApiServer, type ApiServer } from './api-server.ts'
import {
  FLAG,
  PREFACE,
  TYPE,
  frame,
  headerBlock,
  settings,
  type Fields,
  type Frame,
} from './http2-frames.ts'

/** One HTTP/2 connection from Gatehouse. */
export interface HostileSession {
  readonly socket: TLSSocket
  /** Number of the session on this server, from 1. */
  readonly number: number
  readonly frames: readonly Frame[]
  readonly send: (...frames: readonly Buffer[]) => void
}

export interface HostileApiServer extends ApiServer {
  /** Called for a new session; sends empty SETTINGS by default. */
  onSession: (session: HostileSession) => void
  /** Called when the HEADERS of a stream were received. */
  onStream: (session: HostileSession, stream: number) => void
  /** Whether SETTINGS and PING are acknowledged. */
  acknowledges: boolean
  readonly sessions: readonly HostileSession[]
  /** Everything received over TLS, by the number of the connection. */
  readonly bytes: ReadonlyMap<number, string>
  /** Uses another certificate from now on, and closes the open connections. */
  show(certificate: KeyPair): void
  readonly serving: KeyPair
}

/** A complete response: HEADERS and DATA. */
export function responseFrames(stream: number, body = '{}', fields: Fields = []): Buffer {
  return Buffer.concat([
    headFrame(stream, 200, fields),
    frame(TYPE.DATA, FLAG.END_STREAM, stream, body),
  ])
}

/** HEADERS of a response, by default without END_STREAM. */
export function headFrame(
  stream: number,
  status: number | string,
  fields: Fields = [],
  flags: number = FLAG.END_HEADERS,
): Buffer {
  return frame(TYPE.HEADERS, flags, stream, headerBlock([[':status', String(status)], ...fields]))
}

export async function startHostileApiServer(): Promise<HostileApiServer> {
  const certificates = await createApiServerCertificates()
  const { clientAuthority, serving } = certificates
  const secureContext = (pair: KeyPair): { cert: string; key: string; ca: string } => ({
    cert: pair.certificatePem,
    key: pair.keyPem,
    ca: clientAuthority.certificatePem,
  })
  const http1 = createHttpServer(respondHttp1)
  const server = createServer({
    ...secureContext(serving),
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2', 'http/1.1'],
  })
  const sockets = new Set<TLSSocket>()
  const sessions: HostileSession[] = []
  const bytes = new Map<number, string>()
  const api: HostileApiServer = {
    ...initialApiServer(certificates),
    serving,
    sessions,
    bytes,
    acknowledges: true,
    onSession: ({ send }) => send(settings()),
    onStream: ({ send }, stream) => send(responseFrames(stream)),
    show(pair) {
      server.setSecureContext(secureContext(pair))
      for (const socket of sockets) socket.destroy()
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  server.on('secureConnection', (socket: TLSSocket) => {
    const number = ++api.connections.total
    api.connections.open++
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      sockets.delete(socket)
      api.connections.open--
    })
    socket.on('data', (chunk: Buffer) => {
      bytes.set(number, (bytes.get(number) ?? '') + chunk.toString('latin1'))
    })
    if (socket.alpnProtocol === 'h2') serveFrames(socket, api, sessions)
    else http1.emit('connection', socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  return Object.defineProperty(api, 'url', { value: url })
}

function serveFrames(socket: TLSSocket, api: HostileApiServer, sessions: HostileSession[]): void {
  const frames: Frame[] = []
  const session: HostileSession = {
    socket,
    number: sessions.length + 1,
    frames,
    send(...more) {
      if (socket.writable) socket.write(Buffer.concat(more))
    },
  }
  sessions.push(session)
  let pending = Buffer.alloc(0)
  let prefaceSeen = false
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    if (!prefaceSeen) {
      if (pending.length < PREFACE.length) return
      pending = pending.subarray(PREFACE.length)
      prefaceSeen = true
    }
    for (;;) {
      const next = takeFrame(pending)
      if (next === undefined) return
      pending = pending.subarray(9 + next.payload.length)
      frames.push(next)
      react(next)
    }
  })
  api.onSession(session)

  function react({ type, flags, stream, payload }: Frame): void {
    if (type === TYPE.HEADERS) api.onStream(session, stream)
    if (!api.acknowledges || (flags & FLAG.ACK) !== 0) return
    if (type === TYPE.SETTINGS) session.send(frame(TYPE.SETTINGS, FLAG.ACK, 0))
    if (type === TYPE.PING) session.send(frame(TYPE.PING, FLAG.ACK, 0, payload))
  }
}

function takeFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < 9) return undefined
  const length = bytes.readUIntBE(0, 3)
  if (bytes.length < 9 + length) return undefined
  return {
    type: bytes.readUInt8(3),
    flags: bytes.readUInt8(4),
    stream: bytes.readUInt32BE(5) & 0x7fffffff,
    payload: bytes.subarray(9, 9 + length),
  }
}

function respondHttp1(request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  const { url = '', method } = request
  const json = (status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(value))
  }
  if (!('authorized' in request.socket && request.socket.authorized === true))
    json(401, { kind: 'Status', code: 401 })
  else if (url.endsWith('/selfsubjectreviews')) {
    const username = request.headers['impersonate-user'] ?? 'gatehouse'
    json(201, { kind: 'SelfSubjectReview', status: { userInfo: { username } } })
  } else json(200, { kind: 'Echo', method, url, body: '' })
}

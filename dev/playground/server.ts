/**
 * The playground: a small API server in memory, for looking at Gatehouse without a cluster. It runs
 * no containers, keeps nothing and has no RBAC; what it is strict about is who may talk to it.
 */
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createSecureServer, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import type { CertificateFiles } from '../../certs-dev/generate.ts'
import { createHandler } from './handler.ts'
import { seed } from './seed.ts'
import { createStore } from './store.ts'

export interface PlaygroundOptions {
  /** What it serves with. */
  readonly serving: CertificateFiles
  /** PEM file of the authority whose client certificates it takes. */
  readonly clientCAFile: string
  /** Common name of the client that may act on behalf of users: Gatehouse. */
  readonly proxy: string
}

export interface Playground {
  /** `https://127.0.0.1:PORT` */
  readonly url: string
  /** Ends it with every connection. */
  close(): Promise<void>
}

/** Starts it on a free port of 127.0.0.1, over HTTP/2 and HTTP/1.1. */
export async function startPlayground(options: PlaygroundOptions): Promise<Playground> {
  const [cert, key, ca] = await Promise.all([
    readFile(options.serving.certFile),
    readFile(options.serving.keyFile),
    readFile(options.clientCAFile),
  ])
  const store = createStore()
  seed(store)
  const handle = createHandler({ store, proxy: options.proxy })
  const server = createSecureServer({
    cert,
    key,
    ca,
    allowHTTP1: true,
    requestCert: true,
    // A bad certificate is a 401 Status, as kube-apiserver answers it, not a failed handshake.
    rejectUnauthorized: false,
  })
  const sockets = new Set<Socket>()
  const sessions = new Set<ServerHttp2Session>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket.setNoDelay(true))
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  // HTTP/2 requests come in node's compatible form, which is close enough for the handler.
  server.on('request', (request, response) => {
    void handle(request as unknown as IncomingMessage, response as unknown as ServerResponse)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const session of sessions) session.destroy()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

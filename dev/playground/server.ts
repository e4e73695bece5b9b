/**
 * The playground: a small in-memory API server, for trying Gatehouse without a cluster. It runs no
 * containers, has no RBAC and persists nothing, but it authenticates clients as strictly as
 * kube-apiserver.
 */
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createSecureServer, type ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { CertificateFiles } from '../../certs-dev/files.ts'
import { listenOnLoopback, LOOPBACK } from '../loopback.ts'
import { createHandler } from './handler.ts'
import { seed } from './seed.ts'
import { createStore } from './store.ts'

export interface PlaygroundOptions {
  /** The serving certificate. */
  readonly serving: CertificateFiles
  /** Path of the certificate (PEM) of the authority whose client certificates are accepted. */
  readonly clientCAFile: string
  /** The common name of the client that may impersonate users: Gatehouse. */
  readonly proxy: string
}

export interface Playground {
  /** `https://127.0.0.1:PORT` */
  readonly url: string
  /** Stops the server and closes every connection. */
  close(): Promise<void>
}

/** Starts a playground on a free port of 127.0.0.1, with HTTP/2 and HTTP/1.1. */
export async function startPlayground(options: PlaygroundOptions): Promise<Playground> {
  const [cert, key, ca] = await Promise.all([
    readFile(options.serving.certFile),
    readFile(options.serving.keyFile),
    readFile(options.clientCAFile),
  ])
  const store = createStore()
  seed(store)
  const handle = createHandler({ proxy: options.proxy }, { store })
  const server = createSecureServer({
    cert,
    key,
    ca,
    allowHTTP1: true,
    requestCert: true,
    // As in kube-apiserver, an invalid certificate is a 401 Status, not a failed handshake.
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
  // HTTP/2 requests use Node's compatibility API, which is close enough for the handler.
  server.on('request', (request, response) => {
    void handle(request as unknown as IncomingMessage, response as unknown as ServerResponse)
  })
  return {
    url: `https://${LOOPBACK}:${await listenOnLoopback(server)}`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const session of sessions) session.destroy()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

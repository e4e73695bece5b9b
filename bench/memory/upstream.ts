/** An API server that responds to every request with more than anybody buffers, as fast as it is read. */
import { readFile } from 'node:fs/promises'
import { createSecureServer } from 'node:http2'

import { issueCertificate } from '../../dev/parts/pki.ts'
import { listenOnLoopback, LOOPBACK } from '../../dev/loopback.ts'
import type { World } from '../world.ts'

const RESPONSE = Buffer.alloc(16 * 1_048_576, 0x61)
const REVIEW = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

/** Starts it on a free port of 127.0.0.1, over HTTP/1.1 and HTTP/2. */
export async function startEndlessUpstream(
  { ca }: World,
  directory: string,
): Promise<{ readonly url: string; readonly close: () => void }> {
  const { certFile, keyFile } = await issueCertificate(ca, directory, 'endless', {
    commonName: 'endless',
    hosts: [LOOPBACK],
  })
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)])
  const server = createSecureServer({ cert, key, allowHTTP1: true })
  const sessions = new Set<{ destroy: () => unknown }>()
  server.on('secureConnection', (socket) => {
    sessions.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sessions.delete(socket))
  })
  server.on('session', (session) => session.on('error', () => undefined))
  server.on('stream', (stream) => stream.on('error', () => undefined))
  server.on('request', (request, response) => {
    request.on('error', () => undefined)
    request.resume()
    const isReview = request.url === REVIEW
    response.writeHead(isReview ? 201 : 200, { 'content-type': 'application/json' })
    const username = request.headers['impersonate-user']
    response.end(isReview ? JSON.stringify({ status: { userInfo: { username } } }) : RESPONSE)
  })
  server.unref()
  const url = `https://${LOOPBACK}:${await listenOnLoopback(server)}`
  return {
    url,
    close() {
      server.close()
      for (const session of sessions) session.destroy()
    },
  }
}

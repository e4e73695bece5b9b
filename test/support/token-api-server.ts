/** A fake API server that authenticates Gatehouse by a bearer token, and misbehaves on some paths. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { stringify } from 'yaml'

import { createAuthority } from '../../certs-dev/pki.ts'

export interface TokenApiServer {
  /** Path of a kubeconfig with the token. */
  readonly kubeconfig: string
  readonly token: string
  /** Paths of the requests with the token. */
  readonly paths: readonly string[]
  close(): Promise<void>
}

/** Has the form of a service account's token, without a valid signature. */
const TOKEN = [
  { alg: 'RS256', kid: 'api-server' },
  { sub: 'system:serviceaccount:gatehouse:gatehouse' },
  { signature: 'not a signature' },
]
  .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .join('.')

/**
 * `/unauthorized` gets a 401, the response to `/broken` ends within its body, `/no-http` gets its own
 * request head back, everything else gets a 200.
 */
export async function startTokenApiServer(): Promise<TokenApiServer> {
  const authority = await createAuthority({ commonName: 'api-server' })
  const serving = await authority.issue({
    commonName: 'api',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
  })
  const paths: string[] = []
  const server = createServer({ cert: serving.certificatePem, key: serving.keyPem }, (...both) =>
    respond(...both, paths),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const directory = await mkdtemp(join(tmpdir(), 'token-api-server-'))
  const kubeconfig = join(directory, 'kubeconfig')
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  await writeFile(kubeconfig, kubeconfigOf(url, authority.certificatePem))
  return {
    kubeconfig,
    token: TOKEN,
    paths,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
      await rm(directory, { recursive: true })
    },
  }
}

function respond(request: IncomingMessage, response: ServerResponse, paths: string[]): void {
  const { headers, url = '' } = request
  if (headers.authorization !== `Bearer ${TOKEN}` || url === '/unauthorized') {
    response.writeHead(401).end()
  } else if (url.endsWith('/selfsubjectreviews')) {
    const username = headers['impersonate-user'] ?? 'gatehouse'
    response.writeHead(201, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ kind: 'SelfSubjectReview', status: { userInfo: { username } } }))
  } else if (url === '/broken') {
    response.writeHead(200, { 'content-length': '100' })
    response.write('x', () => response.destroy())
  } else if (url === '/no-http') {
    request.socket.end(`echo\r\n${request.rawHeaders.join('\r\n')}\r\n\r\n`)
  } else {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  }
  if (headers.authorization === `Bearer ${TOKEN}`) paths.push(url)
}

function kubeconfigOf(server: string, ca: string): string {
  const authority = Buffer.from(ca).toString('base64')
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'upstream', cluster: { server, 'certificate-authority-data': authority } }],
    users: [{ name: 'gatehouse', user: { token: TOKEN } }],
    contexts: [{ name: 'upstream', context: { cluster: 'upstream', user: 'gatehouse' } }],
    'current-context': 'upstream',
  })
}

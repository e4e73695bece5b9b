/**
 * http-proxy 1.18 in Gatehouse's place, as its documentation has it: a program that signs in at the
 * API server with a certificate and names the user in `proxyReq`. Everybody is ada here. Reads its
 * settings as JSON from stdin and prints its port.
 */
import { Agent, createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

import httpProxy from 'http-proxy'

export interface PeerSettings {
  readonly target: string
  /** PEM: of the API server's CA, and the pairs for both sides. */
  readonly ca: string
  readonly client: { readonly cert: string; readonly key: string }
  readonly serving: { readonly cert: string; readonly key: string }
}

const { target, ca, client, serving } = (await json(process.stdin)) as PeerSettings
const agent = new Agent({ keepAlive: true, ca, ...client })
const proxy = httpProxy.createProxyServer({ target, agent, changeOrigin: true })
proxy.on('proxyReq', (request) => {
  request.setHeader('Impersonate-User', 'oidc:ada')
})
proxy.on('proxyReqWs', (request) => {
  request.setHeader('Impersonate-User', 'oidc:ada')
})
proxy.on('error', (error, _request, response) => {
  process.stderr.write(`${error.message}\n`)
  response.end()
})

const server = createServer(serving, (request, response) => proxy.web(request, response))
server.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head))
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`)
})

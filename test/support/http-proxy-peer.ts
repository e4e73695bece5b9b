/**
 * http-proxy 1.18 in place of Gatehouse, used as in its documentation: it authenticates to the API
 * server with a certificate and sets the user in `proxyReq`. Here every user is ada. The program reads
 * its settings as JSON from stdin and prints its port.
 */
import { Agent, createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

import httpProxy from 'http-proxy'

export interface PeerSettings {
  readonly target: string
  /** PEM of the API server's CA; the key pairs for both sides follow. */
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

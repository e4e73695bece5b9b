/** http-proxy 1.18 with TLS on both sides and keep-alive connections; HTTP/1.1 only. */
import { Agent, createServer } from 'node:https'

import httpProxy from 'http-proxy'

import { peerOptions } from './options.ts'

const options = peerOptions()
const agent = new Agent({
  keepAlive: true,
  ca: options.upstreamCA,
  cert: options.clientCert,
  key: options.clientKey,
})
const proxy = httpProxy.createProxyServer({ target: options.upstream.href, agent, secure: true })
proxy.on('error', (_error, _request, response) => response.destroy())

const server = createServer({ cert: options.cert, key: options.key }, (request, response) => {
  proxy.web(request, response)
})
server.on('connection', (socket) => socket.setNoDelay(true))
server.listen(options.port, '127.0.0.1')

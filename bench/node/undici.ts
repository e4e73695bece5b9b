/**
 * The minimum that Node needs to forward: `Pool.dispatch` between two TLS connections, with HTTP/1.1
 * and HTTP/2 (by the `stream` event, which costs less than the compatibility API) for clients. The
 * cost of Gatehouse beyond this is its own.
 */
import {
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from 'node:http2'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'

import { Pool, type Dispatcher } from 'undici'

import { peerOptions } from './options.ts'

const options = peerOptions()
const pool = new Pool(options.upstream.origin, {
  // No limit: each watch occupies a connection.
  connections: null,
  pipelining: 1,
  allowH2: false,
  headersTimeout: 0,
  bodyTimeout: 0,
  connect: { ca: options.upstreamCA, cert: options.clientCert, key: options.clientKey },
})

type Head = (status: number, headers: string[]) => void

function forward(path: string, headers: string[], head: Head, out: Writable): void {
  let control: Dispatcher.DispatchController | undefined
  out.once('close', () => {
    if (!out.writableFinished) control?.abort(new Error('the client disconnected'))
  })
  out.on('drain', () => control?.resume())
  pool.dispatch(
    { path, method: 'GET', headers },
    {
      onRequestStart(controller) {
        control = controller
      },
      onResponseStart(_controller, status, fields) {
        const list: string[] = []
        for (const name in fields) {
          const value = fields[name]
          if (name === 'connection' || name === 'transfer-encoding') continue
          if (typeof value === 'string') list.push(name, value)
        }
        head(status, list)
        // A watch may have no events for a long time: its headers must not wait for the first one.
        if (path.endsWith('watch=1') && 'flushHeaders' in out) {
          ;(out as ServerResponse).flushHeaders()
        }
      },
      onResponseData(controller, chunk) {
        if (!out.write(chunk)) controller.pause()
      },
      onResponseEnd() {
        out.end()
      },
      onResponseError() {
        out.destroy()
      },
    },
  )
}

const server = createSecureServer({ cert: options.cert, key: options.key, allowHTTP1: true })
server.on('connection', (socket: { setNoDelay: (on: boolean) => void }) => socket.setNoDelay(true))
server.on('stream', (stream: ServerHttp2Stream, headers) => {
  const fields: string[] = ['host', options.upstream.host]
  for (const name in headers) {
    const value = headers[name]
    if (!name.startsWith(':') && typeof value === 'string') fields.push(name, value)
  }
  const respond: Head = (status, list) => stream.respond([':status', String(status), ...list])
  forward(headers[':path'] ?? '/', fields, respond, stream)
})
server.on(
  'request',
  (
    request: Http2ServerRequest | IncomingMessage,
    response: Http2ServerResponse | ServerResponse,
  ) => {
    if (request.httpVersionMajor === 2) return
    const { rawHeaders } = request
    const fields: string[] = ['host', options.upstream.host]
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i]?.toLowerCase() ?? ''
      if (name !== 'host' && name !== 'connection') fields.push(name, rawHeaders[i + 1] ?? '')
    }
    const http1 = response as ServerResponse
    forward(request.url ?? '/', fields, (status, list) => http1.writeHead(status, list), http1)
  },
)
server.listen(options.port, '127.0.0.1')

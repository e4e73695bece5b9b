import { once } from 'node:events'
import { connect, createServer, type ServerHttp2Stream } from 'node:http2'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { listenOnLoopback, LOOPBACK } from '../../dev/loopback.ts'
import { createHttp2Exchange, type Http2Exchange } from '../../src/listener/http2-exchange.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const server = createServer()
/** As node may keep them. */
const streams: ServerHttp2Stream[] = []
const exchanges: WeakRef<Http2Exchange>[] = []
const connection = {
  ...{ remoteAddress: LOOPBACK, remotePort: 1, peerCertificate: undefined },
  retire: () => undefined,
}
let url: string
let authenticated = 0

server.on('stream', (of, headers, _flags, rawHeaders) => {
  const stream = of as ServerHttp2Stream
  const guard = <A extends readonly unknown[]>(callback: (...args: A) => void) => callback
  const onAuthenticated = (): void => {
    authenticated += 1
  }
  const callbacks = { guard, onAuthenticated, onClosed: () => undefined }
  const exchange = createHttp2Exchange({ stream, headers, rawHeaders, connection, ...callbacks })
  streams.push(stream)
  exchanges.push(new WeakRef(exchange))
  exchange.onClose(() => exchange.isAuthenticated)
  exchange.onAbort(() => exchange.isAuthenticated)
  const respond = (): void => {
    exchange.response.writeHead(200, ['x-of', 'the response'])
    exchange.response.end(Buffer.from('response'))
  }
  if (headers[':path'] === '/early') respond()
  else exchange.receiveBody({ onData: () => undefined, onEnd: respond, onError: () => undefined })
})

beforeAll(async () => {
  url = `http://${LOOPBACK}:${await listenOnLoopback(server)}`
})

afterAll(() => {
  server.close()
})

test.each(['GET', 'POST'])(
  'after a %s, a closed stream keeps nothing of its exchange',
  async (method) => {
    const client = connect(url)
    const request = client.request({ ':method': method }, { endStream: method === 'GET' })
    if (method === 'POST') request.end('request')
    request.resume()
    const [response] = (await once(request, 'response')) as [Record<string, unknown>]
    expect(response).toMatchObject({ ':status': 200, 'x-of': 'the response' })
    await once(request, 'close')
    await expect.poll(() => streams.at(-1)?.destroyed).toBe(true)
    client.close()
    await expectForgotten()
  },
)

test('after an early response that its client does not take, a closed stream keeps nothing of its exchange', async () => {
  const client = connect(url, { settings: { initialWindowSize: 0 } })
  const request = client.request({ ':method': 'POST', ':path': '/early' }, { endStream: false })
  await once(request, 'response')
  request.close()
  await expect.poll(() => streams.at(-1)?.destroyed).toBe(true)
  client.close()
  await expectForgotten()
})

async function expectForgotten(): Promise<void> {
  await expect
    .poll(() => {
      collectGarbage()
      return exchanges.at(-1)?.deref()
    })
    .toBeUndefined()
  expect(Object.keys(streams.at(-1)?.sentHeaders ?? {})).toEqual([])
}

test('a user who is recognized again in the same request counts once', async () => {
  const before = authenticated
  const client = connect(url)
  const request = client.request({ ':path': '/early' })
  request.resume()
  const [stream] = (await once(server, 'stream')) as [ServerHttp2Stream]
  const exchange = exchanges.at(-1)?.deref()
  expect(streams.at(-1)).toBe(stream)
  exchange?.recognized()
  exchange?.recognized()
  expect(authenticated).toBe(before + 1)
  await once(request, 'close')
  client.close()
})

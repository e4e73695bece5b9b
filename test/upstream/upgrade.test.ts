import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request } from 'node:https'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

const EXEC = '/api/v1/namespaces/team-a/pods/web/exec?command=sh'

let api: ApiServer
let gatehouse: TestGatehouse

beforeAll(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
})

afterAll(async () => {
  await gatehouse.close()
  await api.close()
})

beforeEach(() => {
  api.received.length = 0
  api.upgradeHandler = undefined
})

test('an upgrade reaches the configured API server, and bytes are copied in both directions', async () => {
  api.upgradeHandler = (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\n')
    socket.write('Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n')
    socket.write('X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\nfirst,')
    socket.on('data', (chunk: Buffer) => socket.end(`echo ${chunk.toString()}`))
  }
  const [response, socket] = (await once(await exec(), 'upgrade')) as [IncomingMessage, Duplex]
  socket.write('hello')
  expect(await text(socket)).toBe('first,echo hello')
  expect(response.headers).toMatchObject({
    upgrade: 'SPDY/3.1',
    'x-stream-protocol-version': 'v4.channel.k8s.io',
  })
  expect(api.received).toMatchObject([{ method: 'POST', url: EXEC }])
})

test('a refusal of an upgrade is relayed unchanged', async () => {
  const status = '{"kind":"Status","code":404}'
  api.upgradeHandler = (_, socket) => {
    socket.end(
      `HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: ${status.length}\r\n\r\n${status}`,
    )
  }
  const [response] = (await once(await exec(), 'response')) as [IncomingMessage]
  expect(response.statusCode).toBe(404)
  expect(await text(response)).toBe(status)
})

async function exec(): Promise<ClientRequest> {
  const authorization = `Bearer ${await gatehouse.token()}`
  const client = request(`${gatehouse.url}${EXEC}`, {
    ca: gatehouse.ca,
    method: 'POST',
    headers: {
      authorization,
      connection: 'Upgrade',
      upgrade: 'SPDY/3.1',
      'x-stream-protocol-version': 'v4.channel.k8s.io',
    },
  })
  client.end()
  return client
}

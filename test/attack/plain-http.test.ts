/** Plain HTTP on the TLS port, and input before TLS that is neither. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'

let attack: Attack

beforeAll(async () => {
  const limits = { handshakeTimeout: '500ms' }
  attack = await startAttack({ configuration: { listener: { limits } } })
})

afterAll(() => attack.close())

async function open(): Promise<Socket> {
  const socket = connect(attack.gatehouse.port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

async function everything(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  // Not `once`, which would reject when the connection is reset.
  if (!socket.closed) await new Promise((resolve) => socket.on('close', resolve))
  return text
}

// The bytes that net/http sends (http.badRequestError has no header fields).
const RESPONSE = 'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n'

test.for<readonly [name: string, bytes: string]>([
  ['GET', 'GET /version HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['POST', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc'],
  ['OPTIONS', 'OPTIONS * HTTP/1.1\r\n\r\n'],
  ['DELETE', 'DELETE /x HTTP/1.1\r\n\r\n'],
  ['a request of 500 kB', `GET /${'a'.repeat(500_000)} HTTP/1.1\r\n\r\n`],
])('plain HTTP gets the response of kube-apiserver, and an event: %s', async ([, bytes]) => {
  const { value, received, events } = await attack.watching(async () => {
    const socket = await open()
    socket.write(bytes)
    return everything(socket)
  })
  expect(value).toBe(RESPONSE)
  expect(received).toEqual([])
  expect(events).toMatchObject([
    { responseStatus: { code: 400 }, sourceIPs: ['127.0.0.1'], user: {} },
  ])
})

test('a request that arrives byte by byte gets the response too', async () => {
  const socket = await open()
  socket.setNoDelay()
  const text = everything(socket)
  for (const byte of 'GET / ') {
    socket.write(byte)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  expect(await text).toBe(RESPONSE)
})

test.for<readonly [name: string, bytes: string]>([
  ['nothing', ''],
  ['the beginning of a request', 'GET'],
  ['letters', 'HELLO WORLD\r\n\r\n'],
  ['zeros', '\0'.repeat(100)],
])('%s is closed in time, and Gatehouse serves others', async ([, bytes]) => {
  const socket = await open()
  socket.on('error', () => undefined)
  socket.write(bytes)
  expect(await everything(socket)).not.toContain('HTTP')
  await attack.settled()
})

test('a client that disconnects or resets before its first byte does no harm', async () => {
  for (let i = 0; i < 20; i++) {
    const socket = await open()
    if (i % 2 === 0) socket.end()
    else socket.resetAndDestroy()
  }
  await attack.settled()
  expect((await fetch(`${attack.gatehouse.probesUrl}/livez`)).status).toBe(200)
})

/** `gatehouse_connections_refused_total` counts what Gatehouse refused, and not the clients that left. */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:net'
import { once } from 'node:events'

import { afterEach, expect, test } from 'vitest'

import { startBareListener, type BareListener } from '../support/bare-listener.ts'
import {
  connectHttp2,
  data,
  frame,
  goaway,
  headers,
  TYPE,
  type Fields,
  type Http2Connection,
} from '../support/http2-frames.ts'

let bare: BareListener

afterEach(() => bare.close())

const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'gatehouse'],
  [':path', '/'],
]

async function start(): Promise<void> {
  bare = await startBareListener({ handle: () => undefined, onMalformed: () => undefined })
}

/** The reasons with a count, and their counts. */
async function refused(): Promise<Record<string, number>> {
  const { values } = await bare.metrics.connectionsRefused.get()
  return Object.fromEntries(
    values
      .filter(({ value }) => value > 0)
      .map(({ labels, value }) => [String(labels.reason), value]),
  )
}

const none = async (): Promise<boolean> => {
  const { values } = await bare.metrics.connections.get()
  return values.every(({ value }) => value === 0)
}

test.for<readonly [what: string, act: (connection: Http2Connection) => void]>([
  ['resets TCP', ({ raw }) => raw.reset()],
  ['disconnects', ({ raw }) => raw.destroy()],
  [
    'sends GOAWAY with an error',
    (connection) => {
      connection.send(goaway(0, 2))
      connection.raw.socket.end()
    },
  ],
])('an HTTP/2 client that %s is not counted', async ([, act]) => {
  await start()
  const connection = await connectHttp2(bare.target)
  connection.send(headers(1, GET))
  await connection.until((frames) => frames.some(({ type }) => type === TYPE.SETTINGS))
  act(connection)
  await expect.poll(none).toBe(true)
  expect(await refused()).toEqual({})
})

test.for<readonly [what: string, bytes: Buffer]>([
  ['data outside of a stream', data(0, 'x')],
  ['a malformed SETTINGS frame', frame(TYPE.SETTINGS, 0, 0, 'abc')],
])('an HTTP/2 client that sends %s is counted', async ([, bytes]) => {
  await start()
  const connection = await connectHttp2(bare.target)
  connection.send(bytes)
  await connection.end()
  await expect.poll(refused).toEqual({ http2: 1 })
  connection.raw.destroy()
})

test.for<readonly [what: string, bytes: string]>([
  ['before its first byte', ''],
  ['within its TLS handshake', '\x16\x03\x01\x02\x00\x01'],
])('a client that resets its connection %s is not counted', async ([, bytes]) => {
  await start()
  const socket = connect(bare.target.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(Buffer.from(bytes, 'latin1'))
  await sleep(50)
  socket.resetAndDestroy()
  await sleep(200)
  expect(await refused()).toEqual({})
})

test('a client whose bytes are not TLS is counted', async () => {
  await start()
  const socket = connect(bare.target.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.resume()
  socket.write(Buffer.alloc(100, 'x'))
  await once(socket, 'close')
  await expect.poll(refused).toEqual({ handshake: 1 })
})

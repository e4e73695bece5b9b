/**
 * Requests are kept in memory until their user is authenticated. Clients without a credential cannot
 * fill more of it than the limit, whichever protocol they speak, and users are not affected.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'

import { startApiServer, type ApiResponse, type ApiServer } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { FLAG, headers } from '../support/http2-frames.ts'
import { readResponse, type RawConnection } from '../support/raw.ts'

const LIMIT = 1_048_576
const LONG = 100_000
const COUNT = 30

let api: ApiServer
let attack: Attack
const connections: RawConnection[] = []

beforeEach(async () => {
  api = await startApiServer()
  attack = await startAttack({
    api,
    configuration: { listener: { limits: { maxUnauthenticatedBytes: LIMIT } } },
  })
})
afterEach(async () => {
  for (const connection of connections.splice(0)) connection.destroy()
  await attack.close()
  await api.close()
})

async function connect(): Promise<RawConnection> {
  const connection = await attack.connect()
  connections.push(connection)
  return connection
}

const open = (some: readonly RawConnection[]): number => some.filter(({ ended }) => !ended).length

async function evicted(): Promise<number> {
  const { values } = await attack.gatehouse.gatehouse.metrics.connectionsRefused.get()
  return values.find(({ labels }) => labels.reason === 'unauthenticated_bytes')?.value ?? 0
}

/** Connections with a part of a request, such that all of them are beyond the limit. */
async function attackers(begin: (connection: RawConnection) => void): Promise<RawConnection[]> {
  const all: RawConnection[] = []
  for (let i = 0; i < COUNT; i += 1) {
    const connection = await connect()
    begin(connection)
    all.push(connection)
  }
  return all
}

const unfinished = (connection: RawConnection): void =>
  connection.write(`GET / HTTP/1.1\r\nHost: gatehouse\r\nX-Long: ${'a'.repeat(LONG)}`)

test('of connections with long unfinished headers, those beyond the limit are closed', async () => {
  const all = await attackers(unfinished)
  await expect.poll(() => open(all)).toBeLessThanOrEqual(LIMIT / LONG)
  await expect.poll(evicted).toBe(COUNT - open(all))
  expect(
    attack.gatehouse.log.filter((line) => line.includes('"reason":"unauthenticated_bytes"')),
  ).toHaveLength(1)
})

test('a user whose header is short is served meanwhile, and one that was served before keeps the connection', async () => {
  const user = await connect()
  const get = `GET /version HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`
  user.write(get)
  expect(await readResponse(user)).toMatchObject({ status: 200 })
  user.write(get.slice(0, -2))
  await attackers(unfinished)
  await expect.poll(evicted).toBeGreaterThan(0)
  user.write('\r\n')
  expect(await readResponse(user)).toMatchObject({ status: 200 })
})

test('the watch of a user stays open, however much was sent on its connection', async () => {
  const watches: ApiResponse[] = []
  api.handler = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{"type":"BOOKMARK"}\n')
    watches.push(response)
  }
  const watch = await connect()
  watch.write(
    `GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}X-Long: ${'a'.repeat(150_000)}\r\n\r\n`,
  )
  const has = (text: string) => (received: Buffer) =>
    received.includes(text) ? { value: true, bytes: 0 } : undefined
  await watch.read(has('BOOKMARK'))
  await attackers(unfinished)
  await expect.poll(evicted).toBeGreaterThan(0)
  watches[0]?.write('{"type":"ADDED"}\n')
  expect(await watch.read(has('ADDED'))).toBe(true)
})

test('unfinished header blocks over HTTP/2 count as well', async () => {
  const all: RawConnection[] = []
  for (let i = 0; i < COUNT; i += 1) {
    const connection = await attack.connectHttp2()
    connections.push(connection.raw)
    all.push(connection.raw)
    const fields = (await attack.fields('/version')).filter(([name]) => name !== 'authorization')
    const long = [...fields, ['x-long', 'a'.repeat(15_000)] as const]
    connection.send(headers(1, long, FLAG.END_STREAM))
    connection.send(continuation(1, 'b'.repeat(15_000)), continuation(1, 'c'.repeat(15_000)))
  }
  await expect.poll(evicted).toBeGreaterThan(0)
  await expect.poll(() => open(all) * 45_000).toBeLessThanOrEqual(LIMIT)
})

/** A CONTINUATION frame with one more long field, without END_HEADERS. */
function continuation(stream: number, value: string): Buffer {
  const payload = Buffer.concat([
    Buffer.from([0, 1, 0x79]),
    length(value.length),
    Buffer.from(value),
  ])
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = 9
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** An HPACK integer of more than 126 (RFC 7541 section 5.1). */
function length(value: number): Buffer {
  const rest = value - 127
  return Buffer.from([127, 128 | (rest & 127), rest >> 7])
}

/** Connections that are held open without use, from one and from several addresses: others can still connect. */
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'

import { afterEach, expect, test } from 'vitest'

import { startApiServer, type ApiResponse } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import type { AuditEvent } from '../support/gatehouse.ts'
import { headers, ping, SETTING } from '../support/http2-frames.ts'
import { readResponse, type RawConnection } from '../support/raw.ts'

let attack: Attack
const held: Socket[] = []

afterEach(async () => {
  for (const socket of held.splice(0)) socket.destroy()
  await attack.close()
})

async function hold(localAddress: string): Promise<Socket> {
  const socket = connectTcp({ port: attack.gatehouse.port, host: '127.0.0.1', localAddress })
  socket.on('error', () => undefined)
  socket.resume()
  held.push(socket)
  await once(socket, 'connect')
  return socket
}

async function isServed(): Promise<boolean> {
  const connection = await attack.connect()
  connection.write(`GET /version HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`)
  const { status } = await readResponse(connection)
  connection.destroy()
  return status === 200
}

const open = (): number => held.filter(({ destroyed }) => !destroyed).length

test('of 10,000 silent connections of one address only the allowed handshakes are kept, and others are served meanwhile', async () => {
  attack = await startAttack()
  // Few enough to wait for Gatehouse, which accepts them in order: when too many do, the kernel answers with
  // SYN cookies, and a client that sends nothing never learns that it has no connection.
  for (let i = 0; i < 40; i++) {
    await Promise.all(Array.from({ length: 250 }, () => hold('127.0.0.2')))
    expect(await isServed()).toBe(true)
  }
  await expect.poll(open).toBeLessThanOrEqual(64)
})

test('at the connection limit, idle connections of several addresses are evicted for new ones, and those in use are not', async () => {
  const api = await startApiServer()
  const watches: ApiResponse[] = []
  api.handler = (request, response) => {
    response.writeHead(200, {})
    if (request.url?.includes('watch') !== true) response.end('{}')
    else {
      response.write('{"type":"BOOKMARK"}\n')
      watches.push(response)
    }
  }
  attack = await startAttack({
    api,
    configuration: { listener: { limits: { maxConnections: 20 } } },
  })
  const watch: RawConnection = await attack.connect()
  watch.write(
    `GET /api/v1/pods?watch=true HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`,
  )
  const has = (text: string) => (received: Buffer) =>
    received.includes(text) ? { value: true, bytes: 0 } : undefined
  await watch.read(has('BOOKMARK'))
  await Promise.all(
    ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'].flatMap((address) => [
      ...Array.from({ length: 10 }, () => hold(address)),
    ]),
  )
  expect(await isServed()).toBe(true)
  watches[0]?.write('{"type":"ADDED"}\n')
  expect(await watch.read(has('ADDED'))).toBe(true)
  watch.destroy()
  await expect.poll(open).toBeLessThan(20)
  await api.close()
})

test.for([
  { what: 'it does not read', frames: [] },
  { what: 'makes node stop reading', frames: [ping('x'.repeat(40))] },
])(
  'a connection that an unauthenticated client holds by a refusal that $what is evicted at once',
  async ({ frames }) => {
    attack = await startAttack({
      configuration: { listener: { limits: { maxConnections: 20 } } },
    })
    const get = (await attack.fields('/version')).filter(([name]) => name !== 'authorization')
    const clients = await Promise.all(
      ['127.0.0.2', '127.0.0.3'].flatMap((localAddress) =>
        Array.from({ length: 10 }, () =>
          attack.connectHttp2({
            silent: true,
            localAddress,
            settings: { [SETTING.INITIAL_WINDOW_SIZE]: 0 },
          }),
        ),
      ),
    )
    for (const client of clients) client.send(headers(1, get), ...frames)
    const isRefused = ({ responseStatus }: AuditEvent): boolean => responseStatus?.code === 401
    await attack.gatehouse.eventsWhere(isRefused, clients.length)
    expect(await isServed()).toBe(true)
    for (const { raw } of clients) raw.destroy()
  },
)

/**
 * A revoked right or a shutdown also ends requests that the API server has not responded to yet: upgrade
 * handshakes, and requests that wait for a connection of the pool.
 */

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { startAttack, type Attack } from '../support/attack.ts'
import { replaceFile } from '../support/files.ts'
import { ALLOW_ALL } from '../support/gatehouse.ts'
import {
  startRawApiServer,
  type RawApiServer,
  type RawExchange,
} from '../support/raw-api-server.ts'
import { readResponse, type RawConnection } from '../support/raw.ts'

const EXEC = '/api/v1/namespaces/d/pods/web/exec?command=sh'
const PODS = '/api/v1/namespaces/d/pods/web'
const OTHER = '/api/v1/namespaces/d/configmaps/a'
const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n'
const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
  'X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n'

const WITHOUT_PODS = {
  ...ALLOW_ALL,
  rules: [
    ...ALLOW_ALL.rules,
    {
      name: 'no-pods',
      effect: 'deny',
      verbs: ['*'],
      resources: [{ apiGroups: [''], resources: ['pods', 'pods/exec'] }],
    },
  ],
}

let api: RawApiServer
let attack: Attack
let exchanges: RawExchange[]

beforeAll(async () => {
  api = await startRawApiServer()
})

beforeEach(async () => {
  exchanges = []
  // Does not respond by itself.
  api.script = (exchange) => void exchanges.push(exchange)
  attack = await startAttack({
    api,
    configuration: { upstream: { connections: { maxConnections: 1 } } },
  })
})

afterEach(() => attack.close())
afterAll(() => api.close())

async function send(method: string, path: string, more = ''): Promise<RawConnection> {
  const connection = await attack.connect()
  connection.write(
    `${method} ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}${more}\r\n`,
  )
  return connection
}

async function forbidPods(): Promise<void> {
  const { gatehouse } = attack
  await replaceFile(gatehouse.file('rules.yaml'), stringify(WITHOUT_PODS))
  gatehouse.gatehouse.reload()
}

const reached = (count: number): Promise<void> => expect.poll(() => exchanges.length).toBe(count)

/** The upstream connection is closed as well. */
async function expectClosed(exchange: RawExchange | undefined): Promise<void> {
  await expect.poll(() => exchange?.socket.destroyed).toBe(true)
}

async function finalEvents(path: string) {
  return attack.gatehouse.eventsWhere(
    ({ requestURI, stage }) => requestURI.startsWith(path) && stage === 'ResponseComplete',
  )
}

test('an exec that is forbidden during its handshake gets a 403, and its upstream connection closes', async () => {
  const connection = await send('POST', EXEC, UPGRADE)
  await reached(1)
  await forbidPods()
  const { status, body } = await readResponse(connection)
  expect(status).toBe(403)
  expect(JSON.parse(body)).toMatchObject({ kind: 'Status', reason: 'Forbidden' })
  await expectClosed(exchanges[0])
  expect(await connection.rest()).toHaveLength(0)
  const [event] = await finalEvents(PODS)
  expect(event?.responseStatus).toMatchObject({ code: 403, reason: 'Forbidden' })
})

test('an exec whose 101 arrives after it was forbidden is not joined', async () => {
  const connection = await send('POST', EXEC, UPGRADE)
  await reached(1)
  await forbidPods()
  expect(await readResponse(connection)).toMatchObject({ status: 403 })
  exchanges[0]?.write(`${SWITCHED}secret`)
  const rest = await connection.rest()
  expect(rest.toString()).not.toContain('secret')
})

test('a running exec ends when it is forbidden', async () => {
  const connection = await send('POST', EXEC, UPGRADE)
  await reached(1)
  exchanges[0]?.take()
  exchanges[0]?.write(SWITCHED)
  expect(await readResponse(connection)).toMatchObject({ status: 101 })
  await forbidPods()
  await connection.rest()
  await expectClosed(exchanges[0])
  const [event] = await finalEvents(PODS)
  expect(event?.annotations).toMatchObject({
    'gatehouse/abortedBy': 'gatehouse',
    'gatehouse/identity': 'impersonation',
  })
})

test('a shutdown does not wait for an upgrade handshake', async () => {
  const connection = await send('POST', EXEC, UPGRADE)
  await reached(1)
  const closed = attack.gatehouse.gatehouse.close(true)
  await connection.rest()
  await closed
  await expectClosed(exchanges[0])
})

test('a request that is forbidden while it waits for a connection gets a 403 and is never sent', async () => {
  const first = await send('GET', OTHER)
  await reached(1)
  const queued = await send('DELETE', PODS)
  await expect.poll(() => inFlight(attack)).toBe(2)
  await forbidPods()
  expect(await readResponse(queued)).toMatchObject({ status: 403 })
  const [event] = await finalEvents(PODS)
  expect(event?.annotations).not.toHaveProperty(['gatehouse/identity'])
  exchanges[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
  expect(await readResponse(first)).toMatchObject({ status: 200 })

  // The next request gets the connection; the forbidden one was not sent.
  const next = await send('GET', OTHER)
  await reached(2)
  exchanges[1]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
  expect(await readResponse(next)).toMatchObject({ status: 200 })
  expect(exchanges.map(({ request }) => request.method)).toEqual(['GET', 'GET'])
})

test('a request whose client closes while it waits for a connection is never sent', async () => {
  const first = await send('GET', OTHER)
  await reached(1)
  const queued = await send('DELETE', PODS)
  await expect.poll(() => inFlight(attack)).toBe(2)
  queued.destroy()
  const [event] = await finalEvents(PODS)
  expect(event?.responseStatus?.code).toBe(499)
  expect(event?.annotations).not.toHaveProperty(['gatehouse/identity'])
  exchanges[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
  expect(await readResponse(first)).toMatchObject({ status: 200 })
  const next = await send('GET', OTHER)
  await reached(2)
  expect(exchanges[1]?.request.method).toBe('GET')
  exchanges[1]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
  expect(await readResponse(next)).toMatchObject({ status: 200 })
})

/** Requests in flight according to /metrics. */
async function inFlight({ gatehouse }: Attack): Promise<number> {
  const text = await (await fetch(`${gatehouse.probesUrl}/metrics`)).text()
  return [...text.matchAll(/^gatehouse_requests_in_flight\{.*\} (\d+)$/gm)]
    .map(([, count]) => Number(count))
    .reduce((sum, count) => sum + count, 0)
}

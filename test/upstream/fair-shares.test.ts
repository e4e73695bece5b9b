/**
 * Users share the connections to a slow API server: one who floods does not delay the others by more
 * than one request, whichever way a request goes.
 */
import { createServer, connect, type Socket } from 'node:net'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { listenOnLoopback } from '../../dev/loopback.ts'
import {
  headerValues,
  startApiServer,
  type ApiResponse,
  type ApiServer,
} from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { FLAG, headers } from '../support/http2-frames.ts'
import { readResponse } from '../support/raw.ts'

const POD = '/api/v1/namespaces/d/pods/web'
const WATCH = '/api/v1/namespaces/d/pods?watch=1'
/** Streams that may wait for a connection at the same time. */
const STARTING = 100

let api: ApiServer
let attack: Attack
/** Connections to the API server that wait until it opens again; undefined while it is open. */
let held: (() => void)[] | undefined
/** Responses that the API server has not sent. */
let pending: ApiResponse[]
let closeDoor: () => void

beforeEach(async () => {
  held = undefined
  pending = []
  closeDoor = () => undefined
  api = await startApiServer()
})
afterEach(async () => {
  open()
  await attack.close()
  closeDoor()
  await api.close()
})

async function start(configuration: Readonly<Record<string, unknown>>, url = api.url) {
  const upstream = { url, ca: api.authority.certificatePem, client: api.gatehouse }
  attack = await startAttack({ api, upstream, configuration })
}

/** The address of a door in front of the API server, which holds new connections while it is shut. */
async function startDoor(): Promise<string> {
  const port = Number(new URL(api.url).port)
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const pass = (): void => {
      const through = connect(port, '127.0.0.1')
      for (const each of [socket, through]) each.on('error', () => undefined)
      sockets.add(through)
      socket.pipe(through).pipe(socket)
    }
    sockets.add(socket)
    if (held === undefined) pass()
    else held.push(pass)
  })
  const url = `https://127.0.0.1:${await listenOnLoopback(server)}`
  closeDoor = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return url
}

function open(): void {
  const waiting = held ?? []
  held = undefined
  for (const pass of waiting) pass()
}

/** Sends requests of one user over one connection, without reading the responses. */
async function flood(count: number, path: string): Promise<void> {
  const connection = await attack.connectHttp2()
  const fields = await attack.fields(path)
  for (let i = 0; i < count; i += 1) {
    connection.send(headers(2 * i + 1, fields, FLAG.END_HEADERS | FLAG.END_STREAM))
  }
}

async function sendAs(sub: string, path: string) {
  const connection = await attack.connect()
  connection.write(`GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer({ sub })}\r\n`)
  return connection
}

async function metric(line: string): Promise<number> {
  const text = await (await fetch(`${attack.gatehouse.probesUrl}/metrics`)).text()
  const found = text.split('\n').find((each) => each.startsWith(line))
  return Number(found?.split(' ').at(-1) ?? 0)
}

const waiting = (kind: string): Promise<number> =>
  metric(`gatehouse_requests_waiting{kind="${kind}"}`)

const users = (): string[] =>
  api.received.map((request) => headerValues(request, 'impersonate-user').join())

test('a user with a hundred waiting requests delays the request of another by one', async () => {
  await start({ upstream: { connections: { maxConnections: 1 } } })
  api.handler = (request, response) => {
    request.resume()
    pending.push(response)
  }
  await flood(100, POD)
  await expect.poll(() => waiting('request')).toBe(99)
  const bob = await sendAs('bob', POD)
  await expect.poll(() => waiting('request')).toBe(100)

  for (let i = 1; i <= 3; i += 1) {
    await expect.poll(() => pending.length).toBe(i)
    const response = pending[i - 1]
    response?.writeHead(200, { 'content-length': '2' })
    response?.end('{}')
  }
  expect(await readResponse(bob)).toMatchObject({ status: 200, body: '{}' })
  await expect.poll(() => users().length).toBe(4)
  expect(users()).toEqual(['oidc:ada', 'oidc:ada', 'oidc:bob', 'oidc:ada'])
  expect(await metric('gatehouse_queue_wait_seconds_count{kind="request"}')).toBe(3)
  expect(await waiting('request')).toBe(97)
})

test('a user whose clients go away leaves no waiting request behind', async () => {
  await start({ upstream: { connections: { maxConnections: 1 } } })
  api.handler = (request, response) => {
    request.resume()
    pending.push(response)
  }
  const first = await sendAs('bob', POD)
  await expect.poll(() => pending.length).toBe(1)
  const gone = await sendAs('ada', `${POD}-gone`)
  await expect.poll(() => waiting('request')).toBe(1)
  gone.destroy()
  await expect.poll(() => waiting('request')).toBe(0)
  pending[0]?.writeHead(200, { 'content-length': '2' })
  pending[0]?.end('{}')
  expect(await readResponse(first)).toMatchObject({ status: 200 })
  const [event] = await attack.gatehouse.eventsWhere(
    ({ requestURI }) => requestURI === `${POD}-gone`,
  )
  expect(event?.responseStatus?.code).toBe(499)
  expect(users()).toEqual(['oidc:bob'])
})

test('a user with many starting watches delays the watch of another by one', async () => {
  await start({}, await startDoor())
  api.handler = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{}\n')
  }
  held = []
  await flood(STARTING + 50, WATCH)
  await expect.poll(() => waiting('stream')).toBe(50)
  const bob = await sendAs('bob', WATCH)
  await expect.poll(() => waiting('stream')).toBe(51)
  open()
  expect(await readHead(bob)).toContain('200 OK')
  await expect.poll(() => users().length).toBe(STARTING + 51)
  // The API server sees the streams of one HTTP/2 session in their order; those of the second session,
  // to which bob's belongs, come after the first.
  const ofSecond = users().slice(STARTING)
  expect(ofSecond.indexOf('oidc:bob')).toBe(1)
  expect(await waiting('stream')).toBe(0)
})

test('a request that waits too long gets 503, which client-go repeats', async () => {
  await start({
    upstream: { connections: { maxConnections: 1 }, queue: { maxWait: '200ms' } },
  })
  api.handler = (request, response) => {
    request.resume()
    pending.push(response)
  }
  await sendAs('ada', POD)
  await expect.poll(() => pending.length).toBe(1)
  const { status, head, body } = await readResponse(await sendAs('bob', POD))
  expect(status).toBe(503)
  expect(head).toContain('Retry-After: 1')
  expect(JSON.parse(body)).toMatchObject({
    reason: 'ServiceUnavailable',
    message: 'the API server is too busy: this request waited too long for its turn',
  })
  expect(await metric('gatehouse_upstream_errors_total{reason="queue"}')).toBe(1)
})

test('a user with too many waiting requests gets 429, and another user still waits', async () => {
  await start({
    upstream: { connections: { maxConnections: 1 }, queue: { maxRequestsPerUser: 2 } },
  })
  api.handler = (request, response) => {
    request.resume()
    pending.push(response)
  }
  await sendAs('ada', POD)
  await expect.poll(() => pending.length).toBe(1)
  await sendAs('ada', POD)
  await sendAs('ada', POD)
  await expect.poll(() => waiting('request')).toBe(2)
  const { status, head } = await readResponse(await sendAs('ada', POD))
  expect(status).toBe(429)
  expect(head).toContain('Retry-After: 1')
  expect(await metric('gatehouse_limited_total{limit="waiting_requests"}')).toBe(1)
  await sendAs('bob', POD)
  await expect.poll(() => waiting('request')).toBe(3)
})

test('the time limit of a request body does not run while its request waits', async () => {
  await start({
    upstream: { connections: { maxConnections: 1, bodyTimeout: '300ms' } },
  })
  api.handler = (request, response) => {
    request.resume()
    if (request.method === 'GET') pending.push(response)
    else {
      request.on('end', () => {
        response.writeHead(201)
        response.end('{}')
      })
    }
  }
  await sendAs('ada', POD)
  await expect.poll(() => pending.length).toBe(1)
  const upload = await attack.connect()
  upload.write(
    `POST ${POD} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer({ sub: 'bob' })}Content-Length: 2\r\n\r\n{}`,
  )
  await expect.poll(() => waiting('request')).toBe(1)
  // Longer than the limit.
  await new Promise((resolve) => setTimeout(resolve, 600))
  pending[0]?.writeHead(200, { 'content-length': '2' })
  pending[0]?.end('{}')
  expect(await readResponse(upload)).toMatchObject({ status: 201 })
})

async function readHead(connection: Awaited<ReturnType<typeof sendAs>>): Promise<string> {
  return connection.read((received) => {
    const end = received.indexOf('\r\n\r\n')
    return end < 0 ? undefined : { value: received.toString('latin1', 0, end), bytes: end + 4 }
  })
}

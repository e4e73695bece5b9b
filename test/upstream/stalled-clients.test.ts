/**
 * Clients that stall while they hold the only connection of the pool lose it; the next user gets one,
 * and the audit log has the cause. Requests that wait for the API server keep their connection.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { startApiServer, type ApiResponse, type ApiServer } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { data, FLAG, headers, TYPE, type Fields } from '../support/http2-frames.ts'
import { readResponse, type RawConnection } from '../support/raw.ts'

const UPLOAD = '/api/v1/namespaces/d/configmaps'
const LIST = '/api/v1/configmaps'
/** More than all buffers hold, so that a client that does not read stalls the response. */
const MUCH = Buffer.alloc(16 * 1_048_576, 0x61)

let api: ApiServer
let attack: Attack

beforeAll(async () => {
  api = await startApiServer()
  attack = await startAttack({
    api,
    configuration: { upstream: { connections: { maxConnections: 1, stallTimeout: '400ms' } } },
  })
})

afterEach(() => {
  api.handler = undefined
})

afterAll(async () => {
  await attack.close()
  await api.close()
})

const respondMuch = (_request: unknown, response: ApiResponse): void => {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(MUCH)
}

/** The final audit event of the only request for a path since the last test. */
async function finalEvent(path: string, code: number) {
  const [event] = await attack.gatehouse.eventsWhere(
    ({ requestURI, stage, responseStatus }) =>
      requestURI === path && stage === 'ResponseComplete' && responseStatus?.code === code,
  )
  return event
}

/** The next request has to wait for the connection that the stalled client holds. */
async function expectNextUserServed(): Promise<void> {
  api.handler = undefined
  const connection = await attack.connect()
  connection.write(
    `GET /api/v1/nodes HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer({ sub: 'bob' })}\r\n`,
  )
  expect(await readResponse(connection)).toMatchObject({ status: 200, whole: true })
  connection.destroy()
}

async function get(path: string): Promise<RawConnection> {
  const connection = await attack.connect()
  connection.write(`GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`)
  return connection
}

async function method(path: string, name: string, more: Fields = []): Promise<Fields> {
  const fields = await attack.fields(path, more)
  return fields.map(([field, value]) => [field, field === ':method' ? name : value] as const)
}

const stoppedSending = {
  status: 'Failure',
  reason: 'Timeout',
  message: 'the client stopped sending the request body',
}
const stoppedReading = {
  'gatehouse/abortedBy': 'gatehouse',
  'gatehouse/cause': 'the client stopped reading the response',
}

describe.for([
  ['with a length', 'Content-Length: 100\r\n', 'some'],
  ['in chunks', 'Transfer-Encoding: chunked\r\n', '4\r\nsome\r\n'],
] as const)('an upload %s over HTTP/1.1', ([, framing, bytes]) => {
  test.for([
    ['in the middle', bytes],
    ['before its first byte', ''],
  ] as const)('that stalls %s ends with 504 and frees its connection', async ([where, sent]) => {
    const path = `${UPLOAD}/${framing.length}-${where.length}`
    const connection = await attack.connect()
    connection.write(
      `POST ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}${framing}\r\n${sent}`,
    )
    const { status, head, body } = await readResponse(connection)
    expect(status).toBe(504)
    expect(head).toContain('Connection: close')
    expect(JSON.parse(body)).toMatchObject(stoppedSending)
    expect((await finalEvent(path, 504))?.responseStatus).toMatchObject(stoppedSending)
    await expectNextUserServed()
    expect(api.received.some(({ url, complete }) => url === path && complete)).toBe(false)
    connection.destroy()
  })
})

test('an upload over HTTP/2 that stalls ends with 504 and frees its connection', async () => {
  const path = `${UPLOAD}/http2`
  const connection = await attack.connectHttp2()
  connection.send(
    headers(1, await method(path, 'POST', [['content-length', '100']]), FLAG.END_HEADERS),
    data(1, 'some'),
  )
  expect(await connection.response(1)).toMatchObject({ status: 504 })
  expect((await finalEvent(path, 504))?.responseStatus).toMatchObject(stoppedSending)
  await expectNextUserServed()
  connection.raw.destroy()
})

test('a response over HTTP/1.1 that is not read is truncated and frees its connection', async () => {
  api.handler = respondMuch
  const path = '/api/v1/namespaces/http1/configmaps'
  const connection = await get(path)
  connection.socket.pause()
  expect((await finalEvent(path, 200))?.annotations).toMatchObject(stoppedReading)
  await expectNextUserServed()
  connection.destroy()
})

test('a response over HTTP/2 without flow-control window is truncated and frees its connection', async () => {
  api.handler = respondMuch
  const path = '/api/v1/namespaces/http2/configmaps'
  const connection = await attack.connectHttp2()
  connection.send(headers(1, await attack.fields(path)))
  expect((await finalEvent(path, 200))?.annotations).toMatchObject(stoppedReading)
  await expectNextUserServed()
  const { status, reset, whole } = await connection.response(1)
  expect({ status, whole }).toEqual({ status: 200, whole: false })
  expect(reset).toBeDefined()
  expect(connection.frames.some(({ type }) => type === TYPE.GOAWAY)).toBe(false)
  connection.raw.destroy()
})

test('the rest of a response that fits into the buffers but is not read ends the exchange', async () => {
  api.handler = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-length': '80000' })
    response.end(Buffer.alloc(80_000))
  }
  const path = '/api/v1/namespaces/end/configmaps'
  const connection = await attack.connectHttp2()
  connection.send(headers(1, await attack.fields(path)))
  expect((await finalEvent(path, 200))?.annotations).toMatchObject(stoppedReading)
  connection.raw.destroy()
})

test('a request that waits for the API server, and a watch that is silent or not read, do not end', async () => {
  const [watchPath, unreadPath, slowPath] = [`${LIST}?watch=1`, `${LIST}?watch=true`, LIST]
  const watches = new Map<string, ApiResponse>()
  api.handler = (request, response) => {
    request.resume()
    if (request.url === slowPath) watches.set(slowPath, response)
    else {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write(request.url === unreadPath ? MUCH : 'begun\n')
      watches.set(request.url ?? '', response)
    }
  }
  const watch = await get(watchPath)
  const unread = await get(unreadPath)
  unread.socket.pause()
  const slow = await get(slowPath)
  await expect.poll(() => watches.size).toBe(3)

  // Longer than the timeout: a request that started later has to reach it.
  const late = await attack.connectHttp2()
  late.send(headers(1, await method(`${UPLOAD}/late`, 'POST'), FLAG.END_HEADERS))
  const lateAnswer = late.response(1)
  // The slow request holds the only connection: the late one gets it next, and stalls then.
  watches.get(slowPath)?.end('{}')
  expect(await readResponse(slow)).toMatchObject({ status: 200, body: '{}', whole: true })
  expect(await lateAnswer).toMatchObject({ status: 504 })

  watches.get(watchPath)?.end('ended\n')
  watches.get(unreadPath)?.end('ended\n')
  expect(await readResponse(watch)).toMatchObject({ body: 'begun\nended\n', whole: true })
  unread.socket.resume()
  let tail = ''
  while (!tail.endsWith('\r\n0\r\n\r\n')) {
    tail += await unread.read((received) =>
      received.length === 0
        ? undefined
        : { value: received.subarray(-20).toString(), bytes: received.length },
    )
  }
  expect(tail).toContain('ended\n')
  for (const connection of [watch, unread, slow, late.raw]) connection.destroy()
})

/**
 * `audit.mode: blocking`: nothing of a response reaches the client before its event is in the kernel,
 * whatever happens in the meantime. The audit log is a FIFO that the tests fill and read.
 */
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { startAttack, type Attack } from '../support/attack.ts'
import { createFifo, type Fifo } from '../support/fifo.ts'
import { replaceFile } from '../support/files.ts'
import { ALLOW_ALL, type AuditEvent } from '../support/gatehouse.ts'
import { FLAG, headers, ping, TYPE } from '../support/http2-frames.ts'
import {
  startRawApiServer,
  type RawApiServer,
  type RawExchange,
} from '../support/raw-api-server.ts'
import { readResponse, type RawConnection } from '../support/raw.ts'

const PODS = '/api/v1/namespaces/d/pods'
const EXEC = `${PODS}/web/exec?command=sh`
const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n'
const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
  'X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n'
const CREATED = 'HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\ncreated'
const LINE = '{"type":"ADDED"}\n'
const WATCH = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n${LINE}${LINE}`
const FORBIDDEN = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'

let api: RawApiServer
let attack: Attack
let exchanges: RawExchange[]

beforeAll(async () => {
  api = await startRawApiServer()
})

beforeEach(() => {
  exchanges = []
  // Does not respond by itself.
  api.script = (exchange) => void exchanges.push(exchange)
})

afterAll(() => api.close())

async function send(method: string, path: string, more = ''): Promise<RawConnection> {
  const connection = await attack.connect()
  connection.write(
    `${method} ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}${more}\r\n`,
  )
  return connection
}

const reached = (count: number): Promise<void> => expect.poll(() => exchanges.length).toBe(count)

/** How many events the sink has taken, whether they are written or not. */
async function taken(): Promise<number> {
  const text = await attack.gatehouse.gatehouse.metrics.registry.metrics()
  return Number(/^gatehouse_audit_events_total\{.*"written"\} (\d+)$/m.exec(text)?.[1] ?? 0)
}

describe('while a write to the audit log has not ended', () => {
  let folder: string
  let fifo: Fifo
  let drain: NodeJS.Timeout | undefined

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-fifo-'))
    fifo = createFifo(join(folder, 'log'))
    attack = await startAttack({
      api,
      configuration: { audit: { mode: 'blocking', file: { path: join(folder, 'log') } } },
    })
    fifo.fill()
  })

  afterEach(async () => {
    release()
    await attack.close()
    clearInterval(drain)
    drain = undefined
    fifo.close()
    await rm(folder, { recursive: true })
  })

  function release(): void {
    drain ??= setInterval(() => fifo.read(), 1)
  }

  const events = (): AuditEvent[] =>
    fifo
      .read()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as AuditEvent)

  /** Waits until the event of the response is waiting to be written. */
  const held = (): Promise<void> => expect.poll(taken).toBe(1)

  test.for([
    { what: 'a write', method: 'POST', path: PODS, response: CREATED, body: 'created' },
    { what: 'a read', method: 'GET', path: PODS, response: CREATED, body: 'created' },
    { what: 'a watch', method: 'GET', path: `${PODS}?watch=1`, response: WATCH, body: LINE + LINE },
    { what: 'a refused exec', method: 'POST', path: EXEC, response: FORBIDDEN, body: 'no' },
  ])('the response to $what waits, and is complete afterwards', async (one) => {
    const connection = await send(one.method, one.path, one.what.includes('exec') ? UPGRADE : '')
    await reached(1)
    exchanges[0]?.write(one.response)
    await held()
    expect(connection.received).toHaveLength(0)
    release()
    const { status, body } = await readResponse(connection)
    expect(one.response).toContain(`HTTP/1.1 ${status} `)
    expect(body).toBe(one.body)
    expect(events()[0]).toMatchObject({
      stage: 'ResponseStarted',
      responseStatus: { code: status },
    })
    await expect
      .poll(() => events().map(({ stage }) => stage))
      .toEqual(['ResponseStarted', 'ResponseComplete'])
  })

  test('the response over HTTP/2 waits', async () => {
    const connection = await attack.connectHttp2()
    connection.send(headers(1, await attack.fields(PODS)))
    await reached(1)
    exchanges[0]?.write(CREATED)
    await held()
    connection.send(ping())
    await connection.until((frames) =>
      frames.some(({ type, flags }) => type === TYPE.PING && (flags & FLAG.ACK) !== 0),
    )
    expect(connection.frames.filter(({ stream }) => stream === 1)).toEqual([])
    release()
    expect(await connection.response(1)).toMatchObject({
      status: 201,
      body: 'created',
      whole: true,
    })
    connection.raw.destroy()
  })

  test('an exec waits with its 101, and gets what came behind it', async () => {
    const connection = await send('POST', EXEC, UPGRADE)
    await reached(1)
    exchanges[0]?.take()
    exchanges[0]?.write(`${SWITCHED}exit 3`)
    exchanges[0]?.socket.end()
    await held()
    expect(connection.received).toHaveLength(0)
    release()
    expect(await readResponse(connection)).toMatchObject({ status: 101 })
    expect((await connection.rest()).toString()).toBe('exit 3')
    expect(events()[0]).toMatchObject({ stage: 'ResponseStarted', responseStatus: { code: 101 } })
  })

  test('an exec whose API server breaks off while its 101 waits ends', async () => {
    const connection = await send('POST', EXEC, UPGRADE)
    await reached(1)
    exchanges[0]?.take()
    exchanges[0]?.write(SWITCHED)
    await held()
    exchanges[0]?.reset()
    release()
    expect(await readResponse(connection)).toMatchObject({ status: 101 })
    await connection.rest()
    await expect.poll(() => events().at(-1)?.stage).toBe('ResponseComplete')
  })

  test("a refusal of Gatehouse's own waits, and its event has its length", async () => {
    const connection = await attack.connect()
    connection.write(`GET ${PODS} HTTP/1.1\r\nHost: gatehouse\r\n\r\n`)
    await held()
    expect(connection.received).toHaveLength(0)
    release()
    const { status, body } = await readResponse(connection)
    expect(status).toBe(401)
    expect(events()).toHaveLength(1)
    expect(events()[0]).toMatchObject({
      stage: 'ResponseComplete',
      responseStatus: { code: 401 },
      annotations: { 'gatehouse/bytesSent': String(body.length) },
    })
  })

  test.for(['/.well-known/gatehouse', '/gatehouse/api/whoami'])(
    "a response of Gatehouse's own (%s) waits, and its event has its length",
    async (path) => {
      const connection = await send('GET', path)
      await held()
      expect(connection.received).toHaveLength(0)
      release()
      const { status, body } = await readResponse(connection)
      expect(status).toBe(200)
      expect(events()).toHaveLength(1)
      expect(events()[0]).toMatchObject({
        stage: 'ResponseComplete',
        verb: 'get',
        responseStatus: { code: 200 },
        annotations: { 'gatehouse/bytesSent': String(body.length) },
      })
    },
  )

  test.for([
    { what: 'whose connection breaks off', bytes: CREATED.slice(0, -7), resets: true },
    {
      what: 'that is not valid',
      bytes: 'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n',
      resets: false,
    },
  ])('the refusal of a response $what waits for its own event', async ({ bytes, resets }) => {
    const connection = await send('POST', PODS)
    await reached(1)
    exchanges[0]?.write(bytes)
    await expect.poll(taken).toBeGreaterThan(0)
    if (resets) exchanges[0]?.reset()
    // Long enough for the failure to be seen; then nothing may have been sent.
    await sleep(300)
    expect(connection.received).toHaveLength(0)
    release()
    expect(await readResponse(connection)).toMatchObject({ status: 502 })
    expect(events().at(-1)?.stage).toBe('ResponseComplete')
  })

  test('a response that breaks off while it waits becomes a 502', async () => {
    const connection = await send('POST', PODS)
    await reached(1)
    exchanges[0]?.write(CREATED.slice(0, -3))
    await held()
    exchanges[0]?.reset()
    release()
    expect(await readResponse(connection)).toMatchObject({ status: 502 })
  })

  test.for([
    { what: 'a write', path: PODS, more: '', response: CREATED },
    { what: 'an exec', path: EXEC, more: UPGRADE, response: SWITCHED },
  ])('a response to $what that waits when its user loses the right is not sent', async (one) => {
    const connection = await send('POST', one.path, one.more)
    await reached(1)
    exchanges[0]?.take()
    exchanges[0]?.write(one.response.replace('Length: 7', 'Length: 8'))
    await held()
    const { gatehouse } = attack
    await replaceFile(gatehouse.file('rules.yaml'), stringify({ ...ALLOW_ALL, rules: [] }))
    gatehouse.gatehouse.reload()
    // Not a 403 either: the request was carried out.
    expect(await connection.rest()).toHaveLength(0)
    await expect.poll(() => exchanges[0]?.socket.destroyed).toBe(true)
    release()
    await expect
      .poll(() => events().at(-1)?.annotations)
      .toMatchObject({ 'gatehouse/abortedBy': 'gatehouse' })
  })

  test.for([
    { what: 'a write', path: PODS, more: '', response: CREATED },
    { what: 'an exec', path: EXEC, more: UPGRADE, response: SWITCHED },
  ])('a client of $what that leaves while its response waits ends the request', async (one) => {
    const connection = await send('POST', one.path, one.more)
    await reached(1)
    exchanges[0]?.take()
    exchanges[0]?.write(one.response.replace('Length: 7', 'Length: 8'))
    await held()
    connection.destroy()
    release()
    await expect.poll(() => exchanges[0]?.socket.destroyed).toBe(true)
    await expect
      .poll(() => events().at(-1)?.annotations)
      .toMatchObject({ 'gatehouse/abortedBy': 'client' })
  })
})

describe('when the audit log cannot be written', () => {
  afterEach(() => attack.close())

  /** Simulates a full disk; the returned function frees space again. */
  async function fillDisk(): Promise<() => Promise<void>> {
    const path = attack.gatehouse.file('audit.log')
    await rm(path)
    await symlink('/dev/full', path)
    return async () => {
      await rm(path)
      await writeFile(path, '')
    }
  }

  async function start(audit: unknown): Promise<void> {
    const locks = { administrators: { users: ['oidc:warden'] } }
    attack = await startAttack({ api, configuration: { audit, locks } })
  }

  async function askAsWarden(method: string, lock?: { user: string; reason: string }) {
    const connection = await attack.connect()
    const body = lock === undefined ? '' : JSON.stringify(lock)
    const credential = await attack.bearer({ sub: 'warden' })
    connection.write(
      `${method} /gatehouse/api/locks HTTP/1.1\r\nHost: gatehouse\r\n${credential}` +
        (body === ''
          ? ''
          : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`) +
        `\r\n${body}`,
    )
    const response = await readResponse(connection)
    connection.destroy()
    return response
  }

  /** Locks users until one of the requests fails: the first whose event does not get into the file. */
  async function lockUntilRefused(): Promise<{ readonly user: string; readonly message: string }> {
    for (let n = 0; ; n += 1) {
      const user = `oidc:u${n}`
      const { status, body } = await askAsWarden('POST', { user, reason: 'x' })
      if (status !== 201)
        return { user, message: (JSON.parse(body) as { message: string }).message }
      await sleep(50)
    }
  }

  /** Asks until Gatehouse has noticed that the file was replaced. */
  async function noticed(): Promise<void> {
    const failure = async (): Promise<string> => {
      const connection = await attack.connect()
      connection.write('GET / HTTP/1.1\r\nHost: gatehouse\r\n\r\n')
      await readResponse(connection)
      connection.destroy()
      return attack.gatehouse.log.join('')
    }
    await expect.poll(failure).toContain('the audit log cannot be written')
  }

  test('the response of a request that was carried out is withheld, and its events are written later', async () => {
    await start({ mode: 'blocking' })
    const connection = await send('POST', PODS)
    const exec = await send('POST', EXEC, UPGRADE)
    await reached(2)
    const makeRoom = await fillDisk()
    await noticed()
    for (const { request, write } of exchanges) write(request.url === EXEC ? SWITCHED : CREATED)
    expect(await connection.rest()).toHaveLength(0)
    expect(await exec.rest()).toHaveLength(0)
    await makeRoom()
    const finals = await attack.gatehouse.eventsWhere(
      ({ stage, requestURI }) => stage === 'ResponseComplete' && requestURI.startsWith(PODS),
      2,
    )
    for (const { annotations } of finals) {
      expect(annotations).toMatchObject({
        'gatehouse/abortedBy': 'gatehouse',
        'gatehouse/cause': 'the response was withheld: the audit log cannot be written',
      })
    }
  })

  test('with onFailure: count the response is sent without its event', async () => {
    await start({ mode: 'blocking', onFailure: 'count' })
    const makeRoom = await fillDisk()
    await noticed()
    const connection = await send('POST', PODS)
    await reached(1)
    exchanges[0]?.write(CREATED)
    expect(await readResponse(connection)).toMatchObject({ status: 201 })
    await makeRoom()
  })

  test.for([
    { mode: 'blocking', message: 'so the response is withheld', isLocked: true },
    { mode: 'blocking-strict', message: 'no request is served', isLocked: false },
  ])('in mode $mode the 503 of a lock says whether it may have been set', async (one) => {
    await start({ mode: one.mode })
    const makeRoom = await fillDisk()
    const { user, message } = await lockUntilRefused()
    expect(message).toContain(one.message)
    await makeRoom()
    const list = async () => {
      const { status, body } = await askAsWarden('GET')
      return { status, isLocked: body.includes(`"${user}"`) }
    }
    await expect.poll(list).toEqual({ status: 200, isLocked: one.isLocked })
  })

  test('in mode blocking-strict a write gets a 503 and does not reach the API server', async () => {
    await start({ mode: 'blocking-strict' })
    const makeRoom = await fillDisk()
    // The first one whose event does not get into the file; until then the earlier file is open.
    await expect
      .poll(async () => {
        const before = exchanges.length
        api.script = ({ write, ...exchange }) => {
          exchanges.push({ write, ...exchange })
          write(CREATED)
        }
        const connection = await send('POST', PODS)
        const { status } = await readResponse(connection)
        connection.destroy()
        return [status, exchanges.length - before]
      })
      .toEqual([503, 0])
    await makeRoom()
  })
})

/** Two Gatehouses with one real Redis: they count together, and go on when Redis does not. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { parse, stringify } from 'yaml'

import { LOOPBACK } from '../../dev/loopback.ts'
import { CHARGE, RENEW } from '../../src/limits/limit-scripts.ts'
import { COUNT_REPLICAS } from '../../src/state/replica-scripts.ts'
import type { Script } from '../../src/state/shared-store.ts'
import { startApiServer, type ApiResponse, type ApiServer } from '../support/api-server.ts'
import { replaceFile } from '../support/files.ts'
import { SECRET, startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { startProgram } from '../support/program.ts'
import { connectRaw, readResponse, type RawConnection } from '../support/raw.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'

const root = resolve(import.meta.dirname, '../..')
const POD = '/api/v1/namespaces/d/pods/web'
const WATCH = '/api/v1/pods?watch=1'
/** So slow that nothing refills within a test. */
const READ = { requestsPerSecond: 0.001, burst: 10 }

describe.skipIf(!hasRedis)('two replicas', () => {
  let redis: TestRedis
  let api: ApiServer
  let folder: string
  let replicas: TestGatehouse[]
  const connections: RawConnection[] = []

  beforeEach(async () => {
    replicas = []
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-state-'))
    await writeFile(join(folder, 'secret'), 'k'.repeat(64), SECRET)
    await writeFile(join(folder, 'password'), 'right\n', SECRET)
    api = await startApiServer()
  })
  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.destroy()
    for (const replica of replicas) await replica.close()
    await api.close()
    await redis.close()
    await rm(folder, { recursive: true })
  })

  async function start(state: object = {}, limits: object = { user: { read: READ } }) {
    redis = await startRedis(['--requirepass', 'right'])
    for (let i = 0; i < 2; i += 1) {
      replicas.push(
        await startTestGatehouse({
          upstream: upstreamOf(api),
          configuration: {
            limits,
            state: {
              type: 'redis',
              redis: {
                addresses: [`${LOOPBACK}:${redis.port}`],
                passwordFile: join(folder, 'password'),
                secretFile: join(folder, 'secret'),
                // Only a Redis that hangs takes as long, and none does here.
                timeout: '20s',
              },
              ...state,
            },
          },
        }),
      )
    }
    for (const replica of replicas)
      await expect.poll(() => readyz(replica)).toContain('[+]redis ok\n')
  }

  async function readyz({ probesUrl }: TestGatehouse): Promise<string> {
    return (await fetch(`${probesUrl}/readyz?verbose`)).text()
  }

  async function get(index: number, path: string, subject = 'ada'): Promise<RawConnection> {
    const replica = replicas[index]!
    const connection = await connectRaw({ port: replica.port, ca: replica.ca })
    connections.push(connection)
    const token = await replica.token({ sub: subject })
    connection.write(
      `GET ${path} HTTP/1.1\r\nHost: gatehouse\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    )
    return connection
  }

  async function status(index: number, path = POD, subject = 'ada'): Promise<number | undefined> {
    return (await readResponse(await get(index, path, subject))).status
  }

  /** The codes of requests that go to the replicas in turn. */
  async function inTurn(count: number): Promise<(number | undefined)[]> {
    const codes: (number | undefined)[] = []
    for (let i = 0; i < count; i += 1) codes.push(await status(i % 2))
    return codes
  }

  const times = (count: number, code: number): number[] => Array<number>(count).fill(code)

  test('have one budget for a user, and another one for another user', async () => {
    await start()
    expect(await inTurn(14)).toEqual([...times(10, 200), ...times(4, 429)])
    const refused = await readResponse(await get(0, POD))
    expect(refused.head).toContain('RateLimit-Limit: 10')
    expect(JSON.parse(refused.body)).toMatchObject({
      reason: 'TooManyRequests',
      message: expect.stringContaining('too many read requests by this user') as string,
    })
    expect(await status(0, POD, 'bob')).toBe(200)
  })

  test('have one number of streams for a user, whose places come back', async () => {
    await start({}, { concurrent: { streams: 2 } })
    const watches: ApiResponse[] = []
    api.handler = (request, response) => {
      request.resume()
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{}\n')
      watches.push(response)
    }
    await get(0, WATCH)
    await get(1, WATCH)
    await expect.poll(() => watches.length).toBe(2)
    const refused = await readResponse(await get(1, WATCH))
    expect(refused.status).toBe(429)
    expect(refused.body).toContain('too many concurrent streams by this user (limit: 2)')
    watches[0]?.end()
    await expect
      .poll(async () => {
        await get(1, WATCH)
        return watches.length
      })
      .toBe(3)
  })

  test('have half of the budget each when Redis is gone, and share it again afterwards', async () => {
    await start()
    // The first one learns of the second with its next count.
    for (const replica of replicas) {
      await expect.poll(() => metric(replica, 'gatehouse_state_replicas')).toBe(2)
    }
    await redis.kill()
    await expect.poll(() => readyz(replicas[0]!)).toContain('[+]redis ok (')
    await expect.poll(() => readyz(replicas[1]!)).toContain('[+]redis ok (')
    for (const index of [0, 1]) {
      const codes: (number | undefined)[] = []
      for (let i = 0; i < 7; i += 1) codes.push(await status(index, POD, 'bob'))
      expect(codes).toEqual([...times(5, 200), ...times(2, 429)])
      expect(await metric(replicas[index]!, 'gatehouse_state_up')).toBe(0)
    }
    await redis.start()
    for (const replica of replicas)
      await expect.poll(() => readyz(replica)).toContain('[+]redis ok\n')
    expect(await status(0, POD, 'cleo')).toBe(200)
  })

  test('refuse requests when Redis is gone, if they are told to', async () => {
    await start({ onFailure: 'refuse' })
    await redis.kill()
    await expect.poll(() => readyz(replicas[0]!)).toContain('[-]redis failed')
    const refused = await readResponse(await get(0, POD))
    expect(refused.status).toBe(503)
    expect(refused.head).toContain('Retry-After: 1')
    expect(refused.body).toContain(
      'the limits that Gatehouse shares with its replicas cannot be read',
    )
    await redis.start()
    await expect.poll(() => status(0)).toBe(200)
  })

  test('read a new password, and keep the last good one of a file that is empty', async () => {
    await start()
    await replaceFile(join(folder, 'password'), '')
    for (const { gatehouse } of replicas) gatehouse.reload()
    await expect.poll(() => readyz(replicas[0]!)).toContain('reload of redis credential failed')
    expect(await status(0)).toBe(200)
    await replaceFile(join(folder, 'password'), 'wrong')
    for (const { gatehouse } of replicas) gatehouse.reload()
    await expect
      .poll(() => readyz(replicas[0]!))
      .toMatch(
        /reload of redis credential failed: the new credential was tried .*(?:WRONGPASS|auth)/i,
      )
    expect(await readyz(replicas[0]!)).toContain('[+]redis ok\n')
    expect(await status(1)).toBe(200)
    await replaceFile(join(folder, 'password'), 'right\n')
    for (const { gatehouse } of replicas) gatehouse.reload()
    await expect.poll(() => readyz(replicas[0]!)).toContain('[+]configuration ok\n')
    expect(JSON.stringify(replicas.map(({ log }) => log))).not.toMatch(/right|"k{64}"/)
  })

  test('admit an unauthenticated client that floods both no further than one would', async () => {
    const address = { requestsPerSecond: 0.001, burst: 40 }
    await start({}, { address })
    const codes = await Promise.all(
      Array.from({ length: 120 }, async (_, i) => {
        const { port, ca } = replicas[i % 2]!
        const connection = await connectRaw({ port, ca })
        connections.push(connection)
        const header = 'Authorization: Bearer guess'
        connection.write(`GET ${POD} HTTP/1.1\r\nHost: gatehouse\r\n${header}\r\n\r\n`)
        return (await readResponse(connection)).status
      }),
    )
    const tried = codes.filter((code) => code === 401).length
    expect(tried).toBeGreaterThanOrEqual(38)
    expect(tried).toBeLessThanOrEqual(42)
    expect(codes.filter((code) => code === 429)).toHaveLength(120 - tried)
  })

  test('have one budget when the clock of one is an hour ahead', async () => {
    await start()
    const [replica] = replicas as [TestGatehouse]
    const configuration = parse(await readFile(replica.file('gatehouse.yaml'), 'utf8')) as object
    const other = { ...configuration, audit: { file: { path: 'other.log' } } }
    await writeFile(replica.file('other.yaml'), stringify(other))
    const ahead = 'const { now } = Date; Date.now = () => now() + 3_600_000'
    const program = startProgram(
      process.execPath,
      [
        ...['--import', `data:text/javascript,${encodeURIComponent(ahead)}`],
        ...[join(root, 'src/start.ts'), 'serve', '--config', replica.file('other.yaml')],
      ],
      { cwd: replica.directory, env: process.env },
    )
    await program.until(/"msg":"listening"/)
    await program.until(/"msg":"Redis is used"/)
    const port = Number(/"port":(\d+)/.exec(program.stdout + program.stderr)?.[1])
    const exp = Math.floor(Date.now() / 1_000) + 10 * 3_600
    const ask = async (at: number, sub = 'ada') => {
      const connection = await connectRaw({ port: at, ca: replica.ca })
      connections.push(connection)
      const header = `Authorization: Bearer ${await replica.token({ sub, exp })}`
      connection.write(`GET ${POD} HTTP/1.1\r\nHost: gatehouse\r\n${header}\r\n\r\n`)
      return (await readResponse(connection)).status
    }
    // Until it has the keys of the issuer.
    await expect.poll(() => ask(port, 'bob')).toBe(200)
    const codes: (number | undefined)[] = []
    for (let i = 0; i < 14; i += 1) codes.push(await ask(i % 2 === 0 ? port : replica.port))
    expect(codes).toEqual([...times(10, 200), ...times(4, 429)])
    await program.stop()
  })

  test('ask Redis nothing about limits while nothing changes, but to renew what runs', async () => {
    await start()
    await redis.command('CONFIG', 'SET', 'slowlog-log-slower-than', '0', 'slowlog-max-len', '9999')
    let isWatched = false
    api.handler = (request, response) => {
      request.resume()
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{}\n')
      if (request.url?.includes('watch') === true) isWatched = true
      else response.end()
    }
    await get(0, WATCH)
    await expect.poll(() => isWatched).toBe(true)
    expect(await inTurn(6)).toEqual(times(6, 200))
    const digests = async () => {
      const entries = (await redis.command('SLOWLOG', 'GET', '-1')) as unknown[][]
      return entries.map((entry) => (entry[3] as string[])[1])
    }
    const sent = async ({ digest }: Script) =>
      (await digests()).filter((each) => each === digest).length
    /** Each replica sends one in five seconds. */
    const heartbeats = (count: number) =>
      expect.poll(() => sent(COUNT_REPLICAS), { timeout: 60_000 }).toBeGreaterThanOrEqual(count)
    await heartbeats(2)
    expect(await sent(CHARGE)).toBeGreaterThan(0)
    await redis.command('SLOWLOG', 'RESET')
    await heartbeats(4)
    expect(await sent(CHARGE)).toBe(0)
    expect(await sent(RENEW)).toBeGreaterThan(0)
    expect(await sent(RENEW)).toBeLessThanOrEqual(3)
  })

  async function metric({ probesUrl }: TestGatehouse, name: string): Promise<number> {
    const text = await (await fetch(`${probesUrl}/metrics`)).text()
    const line = text.split('\n').find((each) => each.startsWith(`${name}{type="redis"} `))
    return Number(line?.split(' ')[1])
  }
})

/** Administrators who are locked, and would rather not be. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { LOOPBACK } from '../../dev/loopback.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient } from '../support/client.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { connectRaw, readResponse } from '../support/raw.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'

const PATH = '/gatehouse/api/locks'
const ADMINISTRATORS = { locks: { administrators: { groups: ['oidc:wardens'] } } }
const WIDE = { requestsPerSecond: 100_000, burst: 100_000 }
const OWN = JSON.stringify({ user: 'oidc:mallory' })

async function ask(
  gatehouse: TestGatehouse,
  { sub, method, body }: { readonly sub: string; readonly method: string; readonly body?: string },
): Promise<{ readonly status: number; readonly body: string }> {
  const { url, ca } = gatehouse
  const token = await gatehouse.token({ sub, groups: ['wardens'] })
  const client = createClient({ url, ca, token })
  const json = { headers: { 'content-type': 'application/json' }, body }
  const response = await client.ask(PATH, { method, ...(body === undefined ? {} : json) })
  await client.close()
  return response
}

const lockMallory = (gatehouse: TestGatehouse) =>
  ask(gatehouse, {
    ...{ sub: 'walt', method: 'POST' },
    body: JSON.stringify({ user: 'oidc:mallory', reason: 'Account taken over.' }),
  })

async function isMalloryLocked(gatehouse: TestGatehouse): Promise<boolean> {
  const { body } = await ask(gatehouse, { sub: 'walt', method: 'GET' })
  return body.includes('"user":"oidc:mallory"')
}

describe('an administrator of locks', () => {
  let api: ApiServer
  let gatehouse: TestGatehouse

  beforeAll(async () => {
    api = await startApiServer()
    gatehouse = await startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: ADMINISTRATORS,
    })
  })
  afterEach(async () => {
    await ask(gatehouse, { sub: 'walt', method: 'DELETE', body: OWN })
  })
  afterAll(async () => {
    await gatehouse.close()
    await api.close()
  })

  test.for([
    ['DELETE', OWN],
    ['POST', JSON.stringify({ user: 'oidc:walt', reason: 'Revenge.' })],
  ] as const)('who has begun a %s before the lock cannot finish it', async ([method, body]) => {
    const connection = await connectRaw({ port: gatehouse.port, ca: gatehouse.ca })
    const token = await gatehouse.token({ sub: 'mallory', groups: ['wardens'] })
    connection.write(
      `${method} ${PATH} HTTP/1.1\r\nHost: gatehouse\r\nAuthorization: Bearer ${token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n` +
        `Expect: 100-continue\r\n\r\n`,
    )
    // Gatehouse waits for the body: everything before it is done.
    await connection.read((received) =>
      received.includes('100 Continue\r\n\r\n')
        ? { value: true, bytes: received.length }
        : undefined,
    )
    expect((await lockMallory(gatehouse)).status).toBe(201)
    connection.write(body)
    const { status, body: refusal } = await readResponse(connection)
    connection.destroy()
    expect(status).toBe(403)
    expect(JSON.parse(refusal)).toMatchObject({
      message: 'user "oidc:mallory" is locked: Account taken over.',
    })
    expect(await isMalloryLocked(gatehouse)).toBe(true)
    expect((await ask(gatehouse, { sub: 'walt', method: 'GET' })).status).toBe(200)
  })
})

describe.skipIf(!hasRedis)('with two replicas', () => {
  let redis: TestRedis
  let api: ApiServer
  let replicas: readonly TestGatehouse[]

  beforeAll(async () => {
    redis = await startRedis()
    api = await startApiServer()
    const start = () =>
      startTestGatehouse({
        upstream: upstreamOf(api),
        configuration: {
          ...ADMINISTRATORS,
          state: {
            type: 'redis',
            redis: {
              ...{ addresses: [`${LOOPBACK}:${redis.port}`], secretFile: 'state-secret' },
              // The machine may be busy.
              timeout: '2s',
            },
          },
          limits: { address: WIDE, signIn: WIDE, user: { write: WIDE } },
        },
        files: { 'state-secret': 'k'.repeat(64) },
      })
    replicas = await Promise.all([start(), start()])
  })
  afterAll(async () => {
    for (const replica of replicas) await replica.close()
    await api.close()
    await redis.close()
  })

  test('nobody lifts a lock of their own at the one that does not know it yet', async () => {
    const [one, other] = replicas as readonly [TestGatehouse, TestGatehouse]
    const codes: number[] = []
    const over = new AbortController()
    const { url, ca } = other
    const token = await other.token({ sub: 'mallory', groups: ['wardens'] })
    const client = createClient({ url, ca, token })
    const lift = { method: 'DELETE', headers: { 'content-type': 'application/json' }, body: OWN }
    const lifting = (async () => {
      while (!over.signal.aborted) codes.push((await client.ask(PATH, lift)).status)
    })()
    await expect.poll(() => codes.length).toBeGreaterThan(0)
    expect((await lockMallory(one)).status).toBe(201)
    await expect.poll(() => codes.at(-1)).toBe(403)
    over.abort()
    await lifting
    await client.close()
    expect(codes).toContain(404)
    expect(codes).not.toContain(200)
    expect(await isMalloryLocked(one)).toBe(true)
  })
})

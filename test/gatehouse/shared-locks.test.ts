/** Two replicas with a real Redis: who is locked on one is locked on the other. */
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { LOOPBACK } from '../../dev/loopback.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient } from '../support/client.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { openWatch } from '../support/reloading.ts'

describe.skipIf(!hasRedis)('two replicas', () => {
  let redis: TestRedis
  let api: ApiServer
  let replicas: readonly TestGatehouse[]

  const startReplica = (waitsForReadiness = true): Promise<TestGatehouse> =>
    startTestGatehouse({
      upstream: upstreamOf(api),
      waitsForReadiness,
      configuration: {
        state: {
          type: 'redis',
          redis: {
            ...{ addresses: [`${LOOPBACK}:${redis.port}`], secretFile: 'state-secret' },
            // The machine may be busy.
            timeout: '2s',
          },
        },
        locks: { administrators: { groups: ['oidc:wardens'] } },
      },
      files: { 'state-secret': 'k'.repeat(64) },
    })

  beforeAll(async () => {
    redis = await startRedis()
    api = await startApiServer()
    replicas = await Promise.all([startReplica(), startReplica()])
  })

  afterAll(async () => {
    for (const replica of replicas) await replica.close()
    await api.close()
    await redis.close()
  })

  async function ask(replica: TestGatehouse, path: string, options: Ask = {}) {
    const { claims = {}, method = 'GET', body } = options
    const { url, ca } = replica
    const client = createClient({ url, ca, token: await replica.token(claims) })
    const json = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    const { status } = await client.ask(path, { method, ...(body === undefined ? {} : json) })
    await client.close()
    return status
  }

  interface Ask {
    readonly claims?: Readonly<Record<string, unknown>>
    readonly method?: string
    readonly body?: object
  }

  test('refuse a user who is locked at one of them, and end the streams on both', async () => {
    const [one, other] = replicas as readonly [TestGatehouse, TestGatehouse]
    const watches = [
      await openWatch({ gatehouse: one, api }),
      await openWatch({ gatehouse: other, api }),
    ].map((watch) => text(watch))
    const warden = { claims: { sub: 'w', groups: ['wardens'] } }
    const locks = '/gatehouse/api/locks'
    const user = { user: 'oidc:ada' }
    const set = { ...warden, method: 'POST', body: { ...user, reason: 'Stolen.' } }
    expect(await ask(one, locks, set)).toBe(201)
    expect(await ask(one, '/api/v1/pods')).toBe(403)
    await expect.poll(() => ask(other, '/api/v1/pods')).toBe(403)
    for (const watch of watches) {
      expect(JSON.parse(await watch)).toMatchObject({
        object: { code: 403, message: 'user "oidc:ada" is locked: Stolen.' },
      })
    }
    expect(await ask(other, locks, { ...warden, method: 'DELETE', body: user })).toBe(200)
    await expect.poll(() => ask(one, '/api/v1/pods')).toBe(200)
  })

  test('keep the locks while Redis is gone, and are not ready if they start then', async () => {
    const [one] = replicas as readonly [TestGatehouse]
    const warden = { claims: { sub: 'w', groups: ['wardens'] } }
    const set = { ...warden, method: 'POST', body: { user: 'oidc:ada', reason: 'Stolen.' } }
    expect(await ask(one, '/gatehouse/api/locks', set)).toBe(201)
    await redis.kill()
    expect(await ask(one, '/api/v1/pods')).toBe(403)
    expect(await ask(one, '/api/v1/pods', { claims: { sub: 'grace' } })).toBe(200)
    const late = await startReplica(false)
    try {
      const readyz = async () => (await fetch(`${late.probesUrl}/readyz?verbose`)).text()
      await expect.poll(readyz).toContain('[-]locks failed: ')
      expect(await ask(late, '/api/v1/pods')).toBe(503)
    } finally {
      await late.close()
    }
  })
})

/** Two replicas with a real Redis: a sign-in that ended at one of them has ended at the other. */
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { LOOPBACK } from '../../dev/loopback.ts'
import { createSigningKey, signToken, type SigningKey } from '../authentication/oidc/issuer.ts'
import {
  AUDIENCE,
  EVENTS as CAEP,
  signEvent,
  type EventOptions,
} from '../security-events/transmitter.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient } from '../support/client.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { openWatch } from '../support/reloading.ts'

const POLLING = { timeout: 10_000, interval: 20 }
const TRANSMITTER = 'https://idp.example.com'
const PODS = '/api/v1/pods'
const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }
const seconds = (): number => Math.floor(Date.now() / 1_000)

describe.skipIf(!hasRedis)('two replicas', () => {
  let redis: TestRedis
  let api: ApiServer
  let first: TestGatehouse
  let second: TestGatehouse
  let transmitterKey: SigningKey
  let ids = 0

  const configuration = () => ({
    state: {
      type: 'redis',
      redis: {
        ...{ addresses: [`${LOOPBACK}:${redis.port}`], secretFile: 'state-secret' },
        // The machine may be busy.
        timeout: '2s',
      },
    },
  })

  /** @param own the replica whose issuer it trusts as well; undefined: one of its own */
  const startReplica = (own?: TestGatehouse, waitsForReadiness = true): Promise<TestGatehouse> =>
    startTestGatehouse({
      ...{ upstream: upstreamOf(api), configuration: configuration(), waitsForReadiness },
      issuerOptions: { backchannelLogout: true },
      transmitter: {
        ...{ issuer: TRANSMITTER, audiences: [AUDIENCE], jwksFile: 'transmitter.json' },
        push: {},
      },
      files: {
        'state-secret': 'k'.repeat(64),
        'transmitter.json': JSON.stringify({ keys: [transmitterKey.publicJwk] }),
      },
      ...(own === undefined ? {} : { issuedBy: own }),
    })

  beforeAll(async () => {
    redis = await startRedis()
    transmitterKey = await createSigningKey('t-1')
    api = await startApiServer()
    first = await startReplica()
    second = await startReplica(first)
  })

  afterAll(async () => {
    await second.close()
    await first.close()
    await api.close()
    await redis.close()
  })

  async function ask(replica: TestGatehouse, claims: Readonly<Record<string, unknown>> = {}) {
    const { url, ca } = replica
    const token = await replica.token({ iat: seconds() - 30, ...claims })
    const client = createClient({ url, ca, token })
    const { status } = await client.ask(PODS)
    await client.close()
    return status
  }

  async function logOut(replica: TestGatehouse, claims: Readonly<Record<string, unknown>> = {}) {
    const token = await signToken(first.issuer, first.signingKey, {
      claims: { jti: `logout-${++ids}`, events: EVENTS, ...claims },
      header: { typ: 'logout+jwt' },
    })
    const { url, ca } = replica
    const client = createClient({ url, ca })
    const { status } = await client.ask('/gatehouse/backchannel-logout', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ logout_token: token }).toString(),
    })
    await client.close()
    return status
  }

  test('end the streams of a sign-in on both, and take a new one at once', async () => {
    const watches = [
      await openWatch({ gatehouse: first, api }),
      await openWatch({ gatehouse: second, api }),
    ].map((watch) => text(watch))
    expect(await logOut(first, { iat: seconds() + 1 })).toBe(200)
    for (const watch of watches) {
      expect(JSON.parse(await watch)).toMatchObject({
        object: { code: 401, message: expect.stringContaining('sign in again') as string },
      })
    }
    expect([await ask(first), await ask(second)]).toEqual([401, 401])
    const later = { iat: seconds() + 2 }
    expect([await ask(first, later), await ask(second, later)]).toEqual([200, 200])
  })

  async function push(replica: TestGatehouse, options: EventOptions, sub: string) {
    const { url, ca } = replica
    const client = createClient({ url, ca })
    const subject = { format: 'iss_sub', iss: first.issuer.url, sub }
    const { status } = await client.ask('/gatehouse/security-events', {
      method: 'POST',
      headers: { 'content-type': 'application/secevent+jwt' },
      body: await signEvent(TRANSMITTER, transmitterKey, { subject, ...options }),
    })
    await client.close()
    return status
  }

  test('end streams on both after a security event, and lock an account until it is enabled', async () => {
    const ends: Promise<string>[] = []
    for (const gatehouse of [first, second]) {
      ends.push(text(await openWatch({ gatehouse, api, claims: { sub: 'mallory' } })))
    }
    const disabled = { event: CAEP.accountDisabled, claims: { iat: seconds() + 1 } }
    expect(await push(first, disabled, 'mallory')).toBe(202)
    for (const end of ends) {
      const { object } = JSON.parse(await end) as { object: { code: number; message: string } }
      expect([401, 403]).toContain(object.code)
      expect(object.message).toMatch(/account-disabled|The account was disabled/)
    }
    const later = { sub: 'mallory', iat: seconds() + 5 }
    expect(await ask(first, later)).toBe(403)
    await expect.poll(() => ask(second, later), POLLING).toBe(403)
    // Whichever of them receives the next event.
    const enabled = { event: CAEP.accountEnabled, claims: { iat: seconds() + 2 } }
    expect(await push(second, enabled, 'mallory')).toBe(202)
    expect(await ask(second, later)).toBe(200)
    await expect.poll(() => ask(first, later), POLLING).toBe(200)
    expect([await ask(first, { sub: 'mallory' }), await ask(second, { sub: 'mallory' })]).toEqual([
      401, 401,
    ])
  })

  test('take a security event once, whichever of them receives it', async () => {
    const claims = { jti: 'the-same-event' }
    expect(await push(first, { claims }, 'kim')).toBe(202)
    expect(await push(second, { claims }, 'kim')).toBe(202)
    const about = async (replica: TestGatehouse): Promise<string | undefined> => {
      const [event] = await replica.eventsWhere(({ annotations }) =>
        Boolean(annotations['gatehouse/revocation']?.includes('"the-same-event"')),
      )
      return event?.annotations['gatehouse/revocation']
    }
    expect(await about(first)).toContain('ended: all sessions of user "kim"')
    expect(await about(second)).toContain('it was received before')
  })

  test('take a logout token once, whichever of them receives it', async () => {
    const claims = { sub: 'mia', jti: 'the-same' }
    expect(await logOut(first, claims)).toBe(200)
    expect(await logOut(second, claims)).toBe(400)
  })

  test('keep what has ended while Redis is gone, and are not ready if they start then', async () => {
    expect(await logOut(first, { sub: 'eve', sid: 'session-1' })).toBe(200)
    const ended = { sub: 'eve', sid: 'session-1' }
    await expect.poll(() => ask(second, ended), POLLING).toBe(401)
    await redis.kill()
    expect([await ask(first, ended), await ask(second, ended)]).toEqual([401, 401])
    // It takes effect where it was received, and the issuer may repeat it.
    const gone = { sub: 'zoe', sid: 'session-2' }
    expect(await logOut(first, gone)).toBe(503)
    expect([await ask(first, gone), await ask(second, gone)]).toEqual([401, 200])
    const late = await startReplica(first, false)
    try {
      const readyz = async () => (await fetch(`${late.probesUrl}/readyz?verbose`)).text()
      await expect.poll(readyz, POLLING).toContain('[-]revocations failed: ')
      // Accounts may be locked.
      expect(await readyz()).toContain('[-]locks failed: ')
      expect(await ask(late)).toBe(503)
      await redis.start()
      // Those that run have written back what they know.
      await expect.poll(() => ask(second, gone), POLLING).toBe(401)
      await expect.poll(() => ask(late, gone), POLLING).toBe(401)
      expect(await ask(late, ended)).toBe(401)
    } finally {
      await late.close()
    }
  })
})

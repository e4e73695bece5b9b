/** Revocations that replicas share, in a real Redis. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { messageKey, subjectKey, type Revocation } from '../../src/revocations/revocation.ts'
import { createRevocationSet, type RevocationSet } from '../../src/revocations/revocation-set.ts'
import {
  createRedisRevocationStore,
  type RedisRevocationStoreOptions,
} from '../../src/revocations/redis-store.ts'
import type { RevocationStore } from '../../src/revocations/store.ts'
import type { StateSecret } from '../../src/state/state-secret.ts'
import { memoryLog } from '../audit/fixtures.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { openStore, stateSecret } from '../support/redis-store.ts'

const KEY = (what: string): string => `gh:{revocations}:${what}`
const POLLING = { timeout: 10_000, interval: 20 }
const ISSUER = 'https://issuer.example'

const revoked = (subject: string, before = Date.now()): Revocation => ({
  ...{ key: subjectKey(ISSUER, subject), before },
  ...{ until: Date.now() + 3_600_000, event: 'session-revoked' },
})
const message = (id: string): Revocation => ({ ...revoked(''), key: messageKey(ISSUER, id) })

interface Replica {
  readonly set: RevocationSet
  readonly store: RevocationStore
  elapsed: number
  age: number
  readonly lines: readonly { readonly msg?: unknown }[]
  reload(secret: StateSecret): void
  close(): Promise<void>
}

describe.skipIf(!hasRedis)('revocations in Redis', () => {
  let redis: TestRedis
  const replicas: Replica[] = []

  beforeAll(async () => {
    redis = await startRedis()
  })
  beforeEach(() => redis.command('FLUSHALL'))
  afterEach(async () => {
    for (const replica of replicas.splice(0)) await replica.close()
  })
  afterAll(() => redis.close())

  function start(
    options: Partial<RedisRevocationStoreOptions> & { readonly secret?: StateSecret } = {},
  ): Replica {
    const { secret = stateSecret('k'), ...own } = options
    const { store: shared } = openStore(redis.port, { secret })
    const { log, lines } = memoryLog()
    const set = createRevocationSet({ now: Date.now, onChanged: () => undefined })
    const replica: Replica = {
      ...{ set, elapsed: 0, age: 0, lines },
      get store() {
        return store
      },
      reload: (next) => shared.updateSecret(next),
      async close() {
        store.close()
        await shared.close()
      },
    }
    const store: RevocationStore = createRedisRevocationStore(
      {
        ...{ name: 'revocations', maxEntries: 100 },
        ...{ maxStaleness: 60_000, onStale: 'keep', ...own },
      },
      {
        ...{ store: shared, set, log, onSize: () => undefined },
        onAge: (seconds) => (replica.age = seconds),
        elapsed: () => performance.now() + replica.elapsed,
      },
    )
    replicas.push(replica)
    return replica
  }

  async function ready(...args: Parameters<typeof start>): Promise<Replica> {
    const replica = start(...args)
    await expect.poll(() => replica.store.missing, POLLING).toBeUndefined()
    return replica
  }

  const knows = ({ set }: Replica, { key }: Revocation) => set.get(key)
  const eventually = (replica: Replica, one: Revocation): Promise<void> =>
    expect.poll(() => knows(replica, one), POLLING).toEqual(one)

  test('are in effect on every replica, and on one that starts later', async () => {
    const [one, two] = [await ready(), await ready()]
    const [ada, grace] = [revoked('ada'), revoked('grace')]
    expect(await one.store.add({ revocations: [ada] })).toBe(true)
    expect(await two.store.add({ revocations: [grace] })).toBe(true)
    expect(knows(one, ada)).toEqual(ada)
    await eventually(two, ada)
    await eventually(one, grace)
    await eventually(await ready(), ada)
  })

  test('are read however many there are', async () => {
    const one = await ready({ maxEntries: 5_000 })
    const many = Array.from({ length: 1_300 }, (_, i) => revoked(`user-${i}`))
    for (const revocation of many) await one.store.add({ revocations: [revocation] })
    const two = await ready({ maxEntries: 5_000 })
    expect(two.set.size).toBe(1_300)
  })

  test('show neither names nor what they are about', async () => {
    const one = await ready()
    const ada = revoked('ada')
    await one.store.add({ revocations: [ada], once: message('id-1') })
    const stored = JSON.stringify([
      await redis.command('HGETALL', KEY('records')),
      await redis.command('ZRANGE', KEY('order'), '0', '-1'),
    ])
    for (const secret of ['ada', 'session-revoked', 'id-1', ISSUER, ada.key]) {
      expect(stored).not.toContain(secret)
    }
  })

  test('of a message count once, whichever replica receives it', async () => {
    const [one, two] = [await ready(), await ready()]
    const once = message('id-1')
    const results = await Promise.all(
      [one, two, one, two].map(({ store }) => store.add({ revocations: [revoked('ada')], once })),
    )
    expect(results.filter(Boolean)).toHaveLength(1)
  })

  test('are refused beyond the limit, and none is forgotten', async () => {
    const one = await ready({ maxEntries: 2 })
    const kept = [revoked('ada'), revoked('grace')]
    await one.store.add({ revocations: kept })
    const more = one.store.add({ revocations: [revoked('mallory')] })
    await expect(more).rejects.toMatchObject({ code: 503 })
    expect(kept.map((revocation) => knows(one, revocation))).toEqual(kept)
  })

  test('that have ended leave Redis', async () => {
    const one = await ready()
    await one.store.add({ revocations: [{ ...revoked('ada'), until: Date.now() - 3_600_001 }] })
    await one.store.add({ revocations: [revoked('grace')] })
    expect(await redis.command('HLEN', KEY('records'))).toBe(1)
  })

  test('stay in effect while Redis is down, take effect here at once, and in Redis when it is back', async () => {
    const [one, two] = [await ready(), await ready()]
    const [ada, grace] = [revoked('ada'), revoked('grace')]
    await one.store.add({ revocations: [ada] })
    await eventually(two, ada)
    await redis.kill()
    const once = message('id-2')
    const adding = one.store.add({ revocations: [grace], once })
    await expect(adding).rejects.toMatchObject({ code: 503 })
    expect([knows(one, ada), knows(one, grace)]).toEqual([ada, grace])
    await redis.start()
    await eventually(two, grace)
    expect(knows(two, ada)).toEqual(ada)
    // The sender tries again.
    await expect
      .poll(() => one.store.add({ revocations: [grace], once }).catch(() => undefined), POLLING)
      .toBe(true)
    await eventually(await ready(), ada)
  })

  test('that somebody has removed from Redis are written back', async () => {
    const one = await ready()
    const ada = revoked('ada')
    await one.store.add({ revocations: [ada] })
    const [field = ''] = (await redis.command('HKEYS', KEY('records'))) as string[]
    await redis.command('HDEL', KEY('records'), field)
    await redis.command('ZREM', KEY('order'), field)
    one.elapsed += 60_001
    await expect.poll(() => redis.command('HLEN', KEY('records')), POLLING).toBe(1)
    await eventually(await ready(), ada)
    expect(one.lines.map(({ msg }) => msg)).toContain(
      'Redis lacked revocations; they were written back',
    )
  })

  test('that Redis has lost by going back are written back, and later ones are not missed', async () => {
    const [one, two] = [await ready(), await ready()]
    const [ada, grace] = [revoked('ada'), revoked('grace')]
    await one.store.add({ revocations: [ada] })
    await eventually(two, ada)
    await redis.command('FLUSHALL')
    await one.store.add({ revocations: [grace] })
    await eventually(two, grace)
    const late = await ready()
    await eventually(late, ada)
    await eventually(late, grace)
    expect(late.set.size).toBe(2)
  })

  test('that somebody else has written are not believed, and a replica that starts is not ready', async () => {
    const one = await ready()
    await one.store.add({ revocations: [revoked('ada')] })
    const [field = ''] = (await redis.command('HKEYS', KEY('records'))) as string[]
    // While it runs, it writes back what it knows.
    await one.close()
    await redis.command('HSET', KEY('records'), field, 'AAAA')
    const late = start()
    await expect.poll(() => late.store.missing, POLLING).toContain('cannot be read')
    expect(late.store.unavailable).toContain('does not yet know which sessions have ended')
    expect(late.set.size).toBe(0)
    expect(late.lines).toContainEqual(
      expect.objectContaining({
        msg: 'revocations in Redis cannot be read',
        ...{ revocations: 1, keys: KEY('*') },
      }),
    )
  })

  test('can be read after a change of the secret, as long as the previous one is there', async () => {
    const one = await ready()
    const ada = revoked('ada')
    await one.store.add({ revocations: [ada] })
    const two = await ready({ secret: stateSecret('n', 'k') })
    expect(knows(two, ada)).toEqual(ada)
    const three = start({ secret: stateSecret('n') })
    await expect.poll(() => three.store.missing, POLLING).toContain('cannot be read')
    three.reload(stateSecret('n', 'k'))
    await eventually(three, ada)
  })

  test('that are too old to rely on refuse everybody only where that is configured', async () => {
    const [keeping, refusing] = [await ready(), await ready({ onStale: 'refuse' })]
    await redis.kill()
    for (const replica of [keeping, refusing]) replica.elapsed += 60_001
    expect(keeping.store.unavailable).toBeUndefined()
    await expect.poll(() => refusing.store.unavailable, POLLING).toContain('for too long')
    await expect.poll(() => keeping.age, POLLING).toBeGreaterThan(60)
    await redis.start()
    await expect.poll(() => refusing.store.unavailable, POLLING).toBeUndefined()
  })
})

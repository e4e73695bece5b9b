/** Failures that replicas count together, in a real Redis. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import {
  createFailedSignIns,
  type FailedSignInsOptions,
  type FailureVerdict,
} from '../../src/limits/failed-sign-ins.ts'
import { createSharedFailedSignIns } from '../../src/limits/shared-failed-sign-ins.ts'
import type { RedisStore } from '../../src/state/redis-store.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { openStore } from '../support/redis-store.ts'

const OPTIONS: FailedSignInsOptions = {
  ...{ perUser: 3, perAddress: 6, banAfter: 10, window: 3_600_000 },
  ...{ maxDelay: 350, ban: 600_000, maxBan: 2_400_000, maxTrackedKeys: 100 },
}
const A = '192.0.2.1'

describe.skipIf(!hasRedis)('failures at several replicas', () => {
  let redis: TestRedis
  const stores: RedisStore[] = []

  beforeAll(async () => {
    redis = await startRedis()
  })
  beforeEach(() => redis.command('FLUSHALL'))
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close()
  })
  afterAll(() => redis.close())

  async function replica(options: Partial<FailedSignInsOptions> = {}) {
    const { store } = openStore(redis.port)
    stores.push(store)
    await expect.poll(() => store.problem).toBeUndefined()
    const now = (): number => performance.now()
    return createSharedFailedSignIns({ ...OPTIONS, ...options }, { store, now })
  }

  test('have the delays and the ban that one replica gives', async () => {
    const [one, two] = [await replica(), await replica()]
    const alone = createFailedSignIns(OPTIONS, { now: () => 0 })
    const users = ['ada', 'ada', undefined, 'ada', 'ada', 'grace', 'ada', 'eve', undefined, 'ada']
    const together: FailureVerdict[] = []
    for (const [i, user] of users.entries()) {
      together.push(await (i % 2 === 0 ? one : two).add(A, user))
    }
    expect(together).toEqual(users.map((user) => alone.add(A, user)))
    expect(together.at(-1)).toEqual({ delay: 0, bannedFor: 600_000, bannedAfter: 10 })
  })

  test('are kept no longer than they count, unless there was a ban', async () => {
    const one = await replica({ window: 1_000, banAfter: 2, ban: 1 })
    const keptFor = async (): Promise<number> => {
      const [key = ''] = (await redis.command('KEYS', '*failures*')) as readonly string[]
      return Number(await redis.command('PTTL', key))
    }
    await one.add(A, 'ada')
    expect(await keptFor()).toBeLessThanOrEqual(1_000)
    expect((await one.add(A, 'ada')).bannedAfter).toBe(2)
    await expect.poll(async () => (await one.add(A, 'ada')).bannedFor).toBe(0)
    expect(await keptFor()).toBeGreaterThan(1_000_000)
  })

  test('are one ban, which every replica knows and only one reports', async () => {
    const [one, two] = [await replica(), await replica()]
    const all = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => (i % 2 === 0 ? one : two).add(A, 'ada')),
    )
    expect(all.filter(({ bannedAfter }) => bannedAfter !== undefined)).toHaveLength(1)
    expect((await one.add(A, 'ada')).bannedFor).toBeGreaterThan(500_000)
    expect((await two.add(A, 'grace')).bannedFor).toBeGreaterThan(500_000)
    expect(await two.add('192.0.2.2', 'ada')).toMatchObject({ delay: 0, bannedFor: 0 })
  })

  test('lead to longer bans each time', async () => {
    const one = await replica({ ban: 1, maxBan: 60_000, banAfter: 1 })
    const lengths: number[] = []
    while (lengths.length < 5) {
      const { bannedFor, bannedAfter } = await one.add(A, undefined)
      if (bannedAfter !== undefined) lengths.push(bannedFor)
    }
    expect(lengths).toEqual([1, 2, 4, 8, 16])
  })

  test('are kept for a time, with a limited number of names, none of which can be read', async () => {
    const one = await replica({ perAddress: 1_000, banAfter: 2_000 })
    for (let i = 0; i < 50; i++) await one.add(A, `mallory-${i}`)
    const [key] = (await redis.command('KEYS', '*failures')) as string[]
    const stored = (await redis.command('HGETALL', key ?? '')) as string[]
    expect(stored).toHaveLength(2 * 20)
    for (const text of ['mallory', A]) expect(String([key, ...stored])).not.toContain(text)
    expect(Number(await redis.command('PTTL', key ?? ''))).toBeGreaterThan(3_000_000)
    expect((await one.add(A, 'mallory-0')).delay).toBe(0)
  })

  test('are counted by each replica while Redis cannot be used, or returns nonsense', async () => {
    const one = await replica()
    await one.add(A, 'ada')
    const [key = ''] = (await redis.command('KEYS', '*failures')) as string[]
    await redis.command('DEL', key)
    await redis.command('SET', key, 'nonsense')
    const verdicts: FailureVerdict[] = []
    for (let i = 0; i < 10; i++) verdicts.push(await one.add(A, 'ada'))
    expect(verdicts.at(-1)).toMatchObject({ bannedAfter: 10 })
  })

  test('with values from another clock or hand do not ban anybody for longer than a ban', async () => {
    const one = await replica()
    await one.add(A, 'ada')
    const [key = ''] = (await redis.command('KEYS', '*failures')) as string[]
    await redis.command('HSET', key, 'until', '99999999999999', 'since', '99999999999999')
    expect(await one.add(A, 'ada')).toMatchObject({ bannedFor: 0 })
    await redis.command('HSET', key, 'until', 'x', 'bans', 'y', 'failures', 'z')
    expect(await one.add(A, 'ada')).toMatchObject({ bannedFor: 0 })
  })
})

/** Limits that replicas share, against a real Redis: what they decide, and what they do without it. */
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

import type { LimiterOptions } from '../../src/limits/memory.ts'
import { createSharedLimiter, type SharedLimiter } from '../../src/limits/shared.ts'
import type { RedisStore } from '../../src/state/redis-store.ts'
import { StoreUnavailable } from '../../src/state/shared-store.ts'
import { StatusError } from '../../src/status.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { openStore } from '../support/redis-store.ts'

const WIDE = { requestsPerSecond: 100_000, burst: 100_000 }
/** So slow that nothing refills within a test. */
const FIVE = { requestsPerSecond: 0.001, burst: 5 }
const HUNDRED = { requestsPerSecond: 0.001, burst: 100 }

interface Replica {
  readonly limiter: SharedLimiter
  readonly store: RedisStore
  /** Scripts that were run. */
  readonly scripts: () => number
}

const user = (username: string, groups: readonly string[] = []) => ({
  ...{ username, uid: '', groups, extra: {} },
})

/** `allowed`, or the beginning of the refusal. */
async function outcome(admit: () => unknown): Promise<string> {
  try {
    await admit()
    return 'allowed'
  } catch (error) {
    if (error instanceof StatusError) return error.message.replace(/ by this user|, retry.*/g, '')
    throw error
  }
}

const times = (count: number, text: string): string[] => Array<string>(count).fill(text)

describe.skipIf(!hasRedis)('limits that replicas share', () => {
  let redis: TestRedis
  const open: Replica[] = []
  /** The clock of the replicas, in milliseconds. */
  let clock = (): number => performance.now()

  beforeAll(async () => {
    redis = await startRedis()
  })
  beforeEach(async () => {
    clock = () => performance.now()
    await redis.command('FLUSHALL')
  })
  afterEach(close)
  afterAll(() => redis.close())

  async function close(): Promise<void> {
    for (const { limiter, store } of open.splice(0)) {
      await limiter.close()
      await store.close()
    }
  }

  async function start(
    count: number,
    limits: Partial<LimiterOptions>,
    onFailure: 'local' | 'refuse' = 'local',
  ): Promise<Replica[]> {
    for (let i = 0; i < count; i += 1) {
      const { store, metrics } = openStore(redis.port)
      const run = vi.spyOn(store, 'run')
      const limiter = createSharedLimiter(
        {
          ...{ address: WIDE, signIn: WIDE, groups: [], maxTrackedKeys: 1_000 },
          user: { read: WIDE, write: WIDE, list: WIDE, stream: WIDE },
          concurrent: { requests: 1_000, streams: 1_000 },
          ...limits,
          onFailure,
        },
        { metrics, store, now: () => clock() },
      )
      open.push({ limiter, store, scripts: () => run.mock.calls.length })
      await expect.poll(() => store.problem).toBeUndefined()
    }
    return open
  }

  const read = FIVE
  const users = { read, write: WIDE, list: WIDE, stream: WIDE }
  const admit = ({ limiter }: Replica, name: string, groups: readonly string[] = []) =>
    outcome(async () => (await limiter.admitUser(user(name, groups), 'read')).release())

  test('a user has one budget, and another user another one', async () => {
    const replicas = await start(2, { user: users })
    const outcomes: string[] = []
    for (let i = 0; i < 8; i += 1) outcomes.push(await admit(replicas[i % 2]!, 'ada'))
    expect(outcomes).toEqual([...times(5, 'allowed'), ...times(3, 'too many read requests')])
    expect(await admit(replicas[0]!, 'bob')).toBe('allowed')
  })

  test('what a replica knows to be used up costs no round trip', async () => {
    const [one, two] = (await start(2, { user: users })) as [Replica, Replica]
    for (let i = 0; i < 5; i += 1) await admit(one, 'ada')
    expect(await admit(two, 'ada')).toBe('too many read requests')
    const before = two.scripts()
    for (let i = 0; i < 5; i += 1) expect(await admit(two, 'ada')).not.toBe('allowed')
    expect(two.scripts()).toBe(before)
  })

  test('an admission says what is left of the shared budget', async () => {
    const [one, two] = (await start(2, { user: users })) as [Replica, Replica]
    await admit(one, 'ada')
    await admit(one, 'ada')
    const slot = await two.limiter.admitUser(user('ada'), 'read')
    expect(slot.state).toEqual({ limit: 5, remaining: 2, resetSeconds: 3_000 })
    slot.release()
  })

  test('a bucket refills at its rate', async () => {
    const fast = { requestsPerSecond: 100, burst: 2 }
    const [one] = (await start(1, { user: { ...users, read: fast } })) as [Replica]
    await Promise.all([1, 2, 3, 4].map(() => admit(one, 'ada')))
    await sleep(50)
    expect(await admit(one, 'ada')).toBe('allowed')
  })

  test('streams of all replicas count together, and a place is free at once', async () => {
    const [one, two] = (await start(2, { concurrent: { requests: 9, streams: 2 } })) as [
      Replica,
      Replica,
    ]
    const stream = ({ limiter }: Replica) => limiter.admitUser(user('ada'), 'stream')
    const held = [await stream(one), await stream(two)]
    for (const replica of [one, two]) {
      expect(await outcome(() => stream(replica))).toBe('too many concurrent streams (limit: 2)')
    }
    held[0]?.release()
    await expect.poll(() => outcome(() => stream(two))).toBe('allowed')
    expect(await outcome(() => stream(one))).toBe('too many concurrent streams (limit: 2)')
  })

  test('a user who opens streams on every replica at once gets no more than the limit', async () => {
    const replicas = await start(3, { concurrent: { requests: 9, streams: 10 } })
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        outcome(() => replicas[i % 3]!.limiter.admitUser(user('ada'), 'stream')),
      ),
    )
    expect(outcomes.filter((each) => each === 'allowed')).toHaveLength(10)
  })

  test('the places of a replica that died come back', async () => {
    const [one] = (await start(1, { concurrent: { requests: 9, streams: 1 } })) as [Replica]
    const stream = () => one.limiter.admitUser(user('ada'), 'stream')
    ;(await stream()).release()
    const slot = await stream()
    const [key = ''] = (await redis.command('KEYS', '*:streams')) as string[]
    slot.release()
    await expect.poll(() => redis.command('EXISTS', key)).toBe(0)
    const ends = (milliseconds: number) => `1:${(Date.now() + milliseconds) * 1_000}`
    await redis.command('HSET', key, 'alive', ends(500), 'dead', '1:1', 'broken', 'x')
    // A lease of a clock that is far ahead never ends by itself.
    await redis.command('HSET', key, 'ahead', ends(3_600_000))
    expect(await outcome(stream)).toBe('too many concurrent streams (limit: 1)')
    expect(await redis.command('HKEYS', key)).toEqual(['alive'])
    await expect.poll(() => outcome(stream)).toBe('allowed')
  })

  test('running streams are counted again when Redis has lost them', async () => {
    const [one, two] = (await start(2, { concurrent: { requests: 9, streams: 1 } })) as [
      Replica,
      Replica,
    ]
    await one.limiter.admitUser(user('ada'), 'stream')
    await redis.kill()
    await expect.poll(() => one.store.problem === undefined).toBe(false)
    await redis.start()
    for (const { store } of [one, two]) await expect.poll(() => store.problem).toBeUndefined()
    await expect.poll(() => redis.command('KEYS', '*:streams')).toHaveLength(1)
    expect(await outcome(() => two.limiter.admitUser(user('ada'), 'stream'))).toContain('limit: 1')
  })

  test('a bucket of a clock that was ahead is full again after the time of one bucket', async () => {
    const size = { requestsPerSecond: 50, burst: 10 }
    const [one] = (await start(1, { user: { ...users, read: size } })) as [Replica]
    const key = one.store.key(one.store.names.of('user', 'ada'), 'read')
    await redis.command('SET', key, String((Date.now() + 3_600_000) * 1_000))
    expect(await admit(one, 'ada')).toBe('too many read requests')
    await expect.poll(() => admit(one, 'ada')).toBe('allowed')
  })

  const address = ({ limiter }: Replica) => outcome(() => limiter.admitAddress('192.0.2.1'))
  const signIn = ({ limiter }: Replica) => outcome(() => limiter.admitSignIn('192.0.2.1'))
  const group = (replica: Replica) => admit(replica, `user ${Math.random()}`, ['ci'])

  test.for([
    ['an address', { address: FIVE }, address],
    ['the sign-ins of an address', { signIn: FIVE }, signIn],
    ['a group', { groups: [{ group: 'ci', ...FIVE }] }, group],
  ] as const)('%s has one budget', async ([, limits, take]) => {
    const replicas = await start(3, limits)
    for (let i = 0; i < 5; i += 1) {
      expect(await take(replicas[i % 3]!)).toBe('allowed')
      // Replicas learn of each other with their next request.
      await sleep(50)
    }
    for (const replica of replicas) await take(replica)
    await sleep(100)
    for (const replica of replicas) {
      expect(await take(replica)).toMatch(/^too many/)
      const before = replica.scripts()
      expect(await take(replica)).toMatch(/^too many/)
      expect(replica.scripts()).toBe(before)
    }
  })

  /** Tokens that were taken of the only bucket of a limit, which gets one back in 1000 seconds. */
  async function charged(limit: string): Promise<number> {
    const [key = ''] = (await redis.command('KEYS', `*:${limit}`)) as string[]
    const until = Number(await redis.command('GET', key)) / 1_000 - Date.now()
    return Math.round(until / 1_000_000)
  }

  test('what another limit refuses is not charged to the group', async () => {
    const groups = [{ group: 'ci', ...FIVE, burst: 100 }]
    const [one] = (await start(1, { user: users, groups })) as [Replica]
    for (let i = 0; i < 20; i += 1) await admit(one, 'ada', ['ci'])
    await expect.poll(() => charged('group')).toBe(5)
  })

  describe('while much of a budget is left', () => {
    const userLimits = { ...users, read: HUNDRED }
    const take = ({ limiter }: Replica, name = 'ada') => limiter.admitUser(user(name), 'read')
    /** Whether Redis is asked before a request is admitted. */
    const isAsked = (replica: Replica): boolean => {
      const admission = take(replica)
      if (!(admission instanceof Promise)) {
        admission.release()
        return false
      }
      void admission.then(
        (slot) => slot.release(),
        () => undefined,
      )
      return true
    }
    /** What runs by the leases in Redis. */
    const leased = async (): Promise<number[]> => {
      const [key = ''] = (await redis.command('KEYS', '*:requests')) as string[]
      const leases = (await redis.command('HVALS', key)) as string[]
      return leases.map((lease) => Number(lease.split(':')[0]))
    }
    const ready = async (count: number, limits: Partial<LimiterOptions>) => {
      // Stands still: what a replica knows does not become old on a busy machine.
      const started = performance.now()
      clock = () => started
      const replicas = await start(count, limits)
      for (const replica of replicas) {
        await expect.poll(() => replica.store.replicas).toBe(count)
      }
      // Redis is asked about a user who was not seen.
      for (const replica of replicas) expect(await admit(replica, 'ada')).toBe('allowed')
      return replicas
    }

    test('a request costs no round trip, and is charged and reported afterwards', async () => {
      const [one] = (await ready(1, { user: userLimits })) as [Replica]
      const before = one.scripts()
      const slot = take(one)
      if (slot instanceof Promise) throw new Error('Redis was asked')
      expect(slot.state).toEqual({ limit: 100, remaining: 98, resetSeconds: 2_000 })
      expect(one.scripts()).toBe(before)
      await expect.poll(() => charged('read')).toBe(2)
      expect(await leased()).toEqual([1])
      slot.release()
      await expect.poll(leased).toEqual([])
    })

    test('Redis is asked first about a user who was not seen for a second', async () => {
      const [one] = (await ready(1, { user: userLimits })) as [Replica]
      expect(isAsked(one)).toBe(false)
      const later = clock() + 1_001
      clock = () => later
      expect(isAsked(one)).toBe(true)
    })

    test('Redis is asked first when it may have lost what it knew', async () => {
      const [one] = (await ready(1, { user: userLimits })) as [Replica]
      expect(isAsked(one)).toBe(false)
      await redis.kill()
      await expect.poll(() => one.store.problem === undefined).toBe(false)
      await redis.start()
      await expect.poll(() => one.store.problem).toBeUndefined()
      expect(isAsked(one)).toBe(true)
    })

    test('Redis is asked first near the end', async () => {
      const [one] = (await ready(1, { user: { ...users, read: { ...HUNDRED, burst: 45 } } })) as [
        Replica,
      ]
      const asked: boolean[] = []
      for (let i = 0; i < 8; i += 1) {
        asked.push(isAsked(one))
        await expect.poll(() => charged('read')).toBe(i + 2)
      }
      expect(asked).toEqual([...Array<boolean>(4).fill(false), ...Array<boolean>(4).fill(true)])
    })

    test('Redis is asked first when half of what may run does, on any replica', async () => {
      const concurrent = { requests: 80, streams: 8 }
      const [one, two] = (await ready(2, { concurrent })) as [Replica, Replica]
      expect(isAsked(two)).toBe(false)
      for (let i = 0; i < 40; i += 1) await take(one)
      await expect.poll(leased).toContain(40)
      // The other replica learns of it with its next request.
      await admit(two, 'ada')
      await expect.poll(() => isAsked(two)).toBe(true)
    })

    test('what Redis says with a request of one class counts for those of another', async () => {
      const concurrent = { requests: 80, streams: 8 }
      const [one, two] = (await ready(2, { concurrent })) as [Replica, Replica]
      const write = () => one.limiter.admitUser(user('ada'), 'write')
      ;(await write()).release()
      for (let i = 0; i < 40; i += 1) await take(two)
      await expect.poll(leased).toContain(40)
      await admit(one, 'ada')
      await expect.poll(() => isAsked(one)).toBe(true)
      expect(write()).toBeInstanceOf(Promise)
    })

    test('a replica that knows of no other one leaves it something', async () => {
      const concurrent = { requests: 80, streams: 8 }
      const [one] = (await ready(1, { concurrent })) as [Replica]
      await expect.poll(leased).toEqual([])
      const asked = Array.from({ length: 6 }, () => take(one) instanceof Promise)
      expect(asked).toEqual([...Array<boolean>(4).fill(false), true, true])
    })

    test('Redis is asked first when more runs than the other replicas may not know of', async () => {
      const concurrent = { requests: 80, streams: 8 }
      const [one] = (await ready(2, { concurrent })) as [Replica, Replica]
      await expect.poll(leased).toEqual([])
      const asked = Array.from({ length: 6 }, () => take(one) instanceof Promise)
      expect(asked).toEqual([...Array<boolean>(4).fill(false), true, true])
    })

    test('Redis is not asked again for as many as it has been told of', async () => {
      const concurrent = { requests: 80, streams: 8 }
      const [one] = (await ready(2, { concurrent })) as [Replica, Replica]
      const slots = await Promise.all(Array.from({ length: 10 }, async () => await take(one)))
      await expect.poll(leased).toContain(10)
      const before = one.scripts()
      for (let i = 0; i < 10; i += 1) {
        slots[i]?.release()
        const next = take(one)
        if (next instanceof Promise) throw new Error('Redis was asked')
        slots[i] = next
      }
      expect(one.scripts()).toBe(before)
      // The tenth, and four of which the other replica may not know.
      const asked = Array.from({ length: 5 }, () => take(one) instanceof Promise)
      expect(asked).toEqual([...Array<boolean>(4).fill(false), true])
    })

    test('a lower number that is being reported counts at once', async () => {
      const concurrent = { requests: 80, streams: 8 }
      const [one] = (await ready(2, { concurrent })) as [Replica, Replica]
      const slots = await Promise.all(Array.from({ length: 10 }, async () => await take(one)))
      await expect.poll(leased).toContain(10)
      redis.signal('SIGSTOP')
      const before = one.scripts()
      for (const slot of slots) slot.release()
      await expect.poll(one.scripts).toBeGreaterThan(before)
      const asked = Array.from({ length: 5 }, () => take(one) instanceof Promise)
      redis.signal('SIGCONT')
      expect(asked).toEqual([...Array<boolean>(4).fill(false), true])
    })

    test('a replica that has not seen a user refuses what was used up in another one', async () => {
      const [one, two] = (await start(2, { user: userLimits })) as [Replica, Replica]
      await Promise.all(Array.from({ length: 100 }, () => admit(one, 'ada')))
      expect(await admit(two, 'ada')).toBe('too many read requests')
      expect(await charged('read')).toBe(100)
    })

    test('Redis is always asked first about a stream', async () => {
      const [one] = (await ready(1, {})) as [Replica]
      for (let i = 0; i < 3; i += 1) {
        const admission = one.limiter.admitUser(user('ada'), 'stream')
        expect(admission).toBeInstanceOf(Promise)
        await admission
      }
    })

    test.for([
      ['one after the other', 1],
      ['at the same time', 60],
    ] as const)(
      'requests %s are charged once each, at the latest at the end, and hardly exceed the budget',
      async ([, together]) => {
        const size = { requestsPerSecond: 0.001, burst: 200 }
        const replicas = await ready(3, { user: { ...users, read: size } })
        let allowed = replicas.length
        for (let i = 0; i < 300; i += together) {
          const outcomes = await Promise.all(
            Array.from({ length: together }, (_, j) => admit(replicas[(i + j) % 3]!, 'ada')),
          )
          allowed += outcomes.filter((each) => each === 'allowed').length
        }
        await close()
        expect(await charged('read')).toBe(allowed)
        expect(allowed).toBeGreaterThanOrEqual(200)
        expect(allowed).toBeLessThanOrEqual(210)
        expect(await redis.command('KEYS', '*:requests')).toEqual([])
      },
    )

    test('requests that run at the same time exceed their number by a twentieth at most', async () => {
      const replicas = await ready(3, { concurrent: { requests: 120, streams: 1 } })
      const outcomes = await Promise.all(
        Array.from({ length: 400 }, (_, i) => outcome(() => take(replicas[i % 3]!))),
      )
      const running = outcomes.filter((each) => each === 'allowed').length
      expect(running).toBeGreaterThanOrEqual(120)
      expect(running).toBeLessThanOrEqual(126)
      const reported = async () => (await leased()).reduce((sum, each) => sum + each, 0)
      await expect.poll(reported).toBe(running)
      for (const replica of replicas) {
        expect(await outcome(() => take(replica))).toBe('too many concurrent requests (limit: 120)')
      }
    })

    test.for([
      [1, 2],
      [3, 1],
    ] as const)(
      'of %i replicas that Redis does not hear of, each gives out its part of a twentieth, then waits',
      async ([count, each]) => {
        const replicas = await ready(count, { user: userLimits })
        redis.signal('SIGSTOP')
        const asked = replicas.map((replica) => Array.from({ length: 9 }, () => isAsked(replica)))
        redis.signal('SIGCONT')
        // So much is lost when all of them are killed now.
        expect(asked).toEqual(
          replicas.map(() => [
            ...Array<boolean>(each).fill(false),
            ...Array<boolean>(9 - each).fill(true),
          ]),
        )
      },
    )

    describe('close', () => {
      test('ends when Redis never responds', async () => {
        const [one] = (await ready(1, { user: userLimits })) as [Replica]
        redis.signal('SIGSTOP')
        for (let i = 0; i < 9; i += 1) isAsked(one)
        await one.limiter.admitAddress('192.0.2.1')
        await one.limiter.close()
        redis.signal('SIGCONT')
        expect(one.store.problem).toBe('no response within 1000 ms')
      })

      test('ends when Redis fails at once', async () => {
        const [one] = (await ready(1, { user: userLimits })) as [Replica]
        const run = vi.spyOn(one.store, 'run').mockRejectedValue(new StoreUnavailable('refused'))
        for (let i = 0; i < 9; i += 1) isAsked(one)
        await one.limiter.close()
        expect(run).toHaveBeenCalled()
      })

      test('ends while requests still come', async () => {
        const [one] = (await ready(1, {})) as [Replica]
        clock = () => performance.now()
        const run = vi.spyOn(one.store, 'run').mockImplementation((...[, , , read]) => {
          void one.limiter.admitAddress('192.0.2.1')
          return Promise.resolve(read([0, 0, 0]))
        })
        await one.limiter.admitAddress('192.0.2.1')
        await one.limiter.close()
        expect(run.mock.calls.length).toBeGreaterThan(0)
      })
    })

    test('charges that wait for a Redis that hangs take limited memory', async () => {
      const [one] = (await ready(1, { maxTrackedKeys: 3 })) as [Replica]
      redis.signal('SIGSTOP')
      const admissions = [1, 2, 3, 4, 5].map((i) => one.limiter.admitAddress(`192.0.2.${i}`))
      redis.signal('SIGCONT')
      const isWaiting = admissions.map((each) => each instanceof Promise)
      expect(isWaiting).toEqual([false, false, false, true, true])
      for (const each of admissions) await each
    })
  })

  test('Redis holds no name of a user, a group or an address', async () => {
    const size = { requestsPerSecond: 0.001, burst: 100 }
    const groups = [{ group: 'oidc:admins', ...size }]
    const userSizes = { read: size, write: size, list: size, stream: size }
    const limits = { groups, user: userSizes, address: size, signIn: size }
    const [one] = (await start(1, limits)) as [Replica]
    void one.limiter.admitAddress('192.0.2.77')
    void one.limiter.admitSignIn('192.0.2.77')
    for (const requestClass of ['read', 'stream'] as const) {
      await one.limiter.admitUser(user('ada@example.com', ['oidc:admins']), requestClass)
    }
    await expect.poll(() => redis.command('KEYS', '*')).toHaveLength(8)
    const dump: unknown[] = []
    for (const key of (await redis.command('KEYS', '*')) as string[]) {
      const type = await redis.command('TYPE', key)
      const read = { string: ['GET'], hash: ['HGETALL'], zset: ['ZRANGE', '0', '-1', 'WITHSCORES'] }
      const [name, ...rest] = read[type as keyof typeof read]
      const value = JSON.stringify(await redis.command(name!, key, ...rest))
      dump.push([key, value])
      expect(key).toMatch(
        /^gh:\{(?:replicas|[\w-]{22})\}:(?:alive|address|sign-in|group|read|stream|requests|streams)$/,
      )
      // Numbers, and the random names of replicas.
      expect(value).toMatch(/^(?:"\d+\.\d"|\["[\w-]{16}","\d+(?::\d+)?"\])$/)
    }
    expect(JSON.stringify(dump)).not.toMatch(/ada|example|admins|oidc|192\.0\.2|2\.77/)
  })

  describe('without Redis', () => {
    afterEach(() => redis.start())

    test('each replica has its part, and a failure fills no bucket', async () => {
      const size = { requestsPerSecond: 0.001, burst: 12 }
      const replicas = await start(2, { user: { ...users, read: size }, address: size })
      const [one, two] = replicas as [Replica, Replica]
      await expect.poll(() => one.store.replicas).toBe(2)
      for (let i = 0; i < 4; i += 1) await admit(one, 'ada')
      await redis.kill()
      await admit(one, 'nobody')
      await admit(two, 'nobody')
      const outcomes = async (replica: Replica, name: string) => {
        const all: string[] = []
        for (let i = 0; i < 8; i += 1) all.push(await admit(replica, name))
        return all.filter((each) => each === 'allowed').length
      }
      // A part is six; four of them were used before.
      expect(await outcomes(one, 'ada')).toBe(2)
      expect(await outcomes(two, 'ada')).toBe(6)
      expect(await outcomes(one, 'bob')).toBe(6)
      expect(await Promise.all(Array.from({ length: 8 }, () => address(one)))).toEqual([
        ...times(6, 'allowed'),
        ...times(2, 'too many requests from this address'),
      ])
    })

    test('each replica has its part of the streams', async () => {
      const [one, two] = (await start(2, { concurrent: { requests: 9, streams: 4 } })) as [
        Replica,
        Replica,
      ]
      await expect.poll(() => one.store.replicas).toBe(2)
      const stream = ({ limiter }: Replica) =>
        outcome(() => limiter.admitUser(user('ada'), 'stream'))
      expect(await stream(one)).toBe('allowed')
      await redis.kill()
      await admit(one, 'nobody')
      await admit(two, 'nobody')
      expect(await stream(one)).toBe('allowed')
      expect(await stream(one)).toBe('too many concurrent streams (limit: 2)')
      expect(await stream(two)).toBe('allowed')
      expect(await stream(two)).toBe('allowed')
      expect(await stream(two)).toBe('too many concurrent streams (limit: 2)')
    })

    test('everything is refused, if that is configured', async () => {
      const [one] = (await start(1, { user: { ...users, read: HUNDRED } }, 'refuse')) as [Replica]
      expect(await admit(one, 'ada')).toBe('allowed')
      await redis.kill()
      const message = 'the limits that Gatehouse shares with its replicas cannot be read'
      const outcomes: string[] = []
      for (let i = 0; i < 9; i += 1) outcomes.push(await admit(one, 'ada'))
      // What is not charged is at most a twentieth of what is left, until the failure is noticed.
      const refused = outcomes.indexOf(message)
      expect(refused).toBeLessThanOrEqual(4)
      expect(outcomes.slice(refused)).toEqual(times(9 - refused, message))
      expect([await admit(one, 'bob'), await address(one), await signIn(one)]).toEqual(
        times(3, message),
      )
    })
  })
})

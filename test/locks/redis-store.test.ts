/** Locks that replicas share, in a real Redis. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { Lock } from '../../src/locks/lock.ts'
import { createLocks, type Locks } from '../../src/locks/locks.ts'
import { createRedisLockStore, type RedisLockStoreOptions } from '../../src/locks/redis-store.ts'
import type { LockStore } from '../../src/locks/store.ts'
import type { StateSecret } from '../../src/state/state-secret.ts'
import { memoryLog } from '../audit/fixtures.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { openStore, stateSecret } from '../support/redis-store.ts'

const KEY = 'gh:{locks}:records'
const LOCK: Lock = {
  ...{ target: 'user', name: 'oidc:mallory', reason: 'Laptop stolen.' },
  ...{ until: undefined, actor: 'oidc:grace' },
}
const OTHER: Lock = { ...LOCK, target: 'group', name: 'contractors' }

interface Replica {
  readonly locks: Locks
  readonly lockStore: LockStore
  /** The names of the locks in force, sorted. */
  locked(): readonly string[]
  /** Milliseconds that this replica believes to be ahead of others. */
  clock: number
  elapsed: number
  changes: number
  readonly lines: readonly { readonly msg?: unknown }[]
  reload(secret: StateSecret): void
  close(): Promise<void>
}

describe.skipIf(!hasRedis)('locks in Redis', () => {
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
    options: Partial<RedisLockStoreOptions> & { readonly secret?: StateSecret } = {},
    clock = 0,
  ): Replica {
    const { secret = stateSecret('k'), ...lockOptions } = options
    const { store, metrics } = openStore(redis.port, { secret })
    const { log, lines } = memoryLog()
    let offset = 0
    const replica: Replica = {
      ...{ clock, elapsed: 0, changes: 0, lines },
      locks: createLocks({
        wallClock: () => Date.now() + replica.clock,
        storeOffset: () => offset,
        onChanged: () => (replica.changes += 1),
        unavailable: () => replica.lockStore.unavailable,
      }),
      get lockStore() {
        return lockStore
      },
      locked: () =>
        replica.locks
          .of('store')
          .filter(({ until = Infinity }) => replica.locks.now('store') < until)
          .map(({ name }) => name)
          .toSorted(),
      reload: (next) => store.updateSecret(next),
      async close() {
        lockStore.close()
        await store.close()
      },
    }
    const lockStore: LockStore = createRedisLockStore(
      { isRequired: true, maxStaleness: 60_000, onStale: 'keep', ...lockOptions },
      {
        ...{ store, metrics, locks: replica.locks },
        log,
        onClock: (ahead) => (offset = ahead),
        wallClock: () => Date.now() + replica.clock,
        elapsed: () => performance.now() + replica.elapsed,
      },
    )
    replicas.push(replica)
    return replica
  }

  async function ready(...args: Parameters<typeof start>): Promise<Replica> {
    const replica = start(...args)
    await expect.poll(() => replica.lockStore.missing).toBeUndefined()
    return replica
  }

  const eventually = (replica: Replica, names: readonly string[]): Promise<void> =>
    expect.poll(() => replica.locked()).toEqual(names)

  const subject = (username: string): Parameters<Locks['refusalOf']> => [
    {
      ...{ user: { username, uid: '', groups: [], extra: {} } },
      ...{ method: 'oidc', annotations: {} },
    },
    { remoteAddress: '192.0.2.7', peerCertificate: undefined },
  ]
  const refusalOf = ({ locks }: Replica, username = 'oidc:ada') =>
    locks.refusalOf(...subject(username))

  test('are in force on every replica, and so is their end', async () => {
    const [one, two] = [await ready(), await ready()]
    await one.lockStore.set(LOCK, () => undefined)
    expect(one.locked()).toEqual(['oidc:mallory'])
    await eventually(two, ['oidc:mallory'])
    expect(two.locks.of('store')).toEqual([LOCK])
    expect(await two.lockStore.lift('user', 'oidc:mallory', () => undefined)).toBe(true)
    expect(two.locked()).toEqual([])
    await eventually(one, [])
    expect(await one.lockStore.lift('user', 'oidc:mallory', () => undefined)).toBe(false)
  })

  test('are known to a replica that starts later, before it is ready', async () => {
    await (await ready()).lockStore.set(LOCK, () => undefined)
    expect((await ready()).locked()).toEqual(['oidc:mallory'])
  })

  test('replace each other by their target, and do not change if nothing does', async () => {
    const [one, two] = [await ready(), await ready()]
    await one.lockStore.set(LOCK, () => undefined)
    await two.lockStore.set({ ...LOCK, reason: 'Another.' }, () => undefined)
    expect(two.locks.of('store')).toEqual([{ ...LOCK, reason: 'Another.' }])
    const { changes } = two
    await two.lockStore.lift('user', 'nobody', () => undefined)
    const after = two.changes
    await expect.poll(() => one.locks.of('store')).toEqual(two.locks.of('store'))
    expect([after, two.changes]).toEqual([changes, changes])
  })

  test('show nobody who reads Redis a name or a reason', async () => {
    const one = await ready()
    await one.lockStore.set(LOCK, () => undefined)
    const stored = JSON.stringify(await redis.command('HGETALL', KEY))
    expect(stored).toContain('version')
    for (const text of ['mallory', 'grace', 'stolen', 'user']) expect(stored).not.toContain(text)
  })

  test('stay in force while Redis is gone, and cannot be changed', async () => {
    const one = await ready()
    await one.lockStore.set(LOCK, () => undefined)
    await redis.kill()
    await expect(one.lockStore.set(OTHER, () => undefined)).rejects.toMatchObject({ code: 503 })
    await expect(one.lockStore.lift('user', 'oidc:mallory', () => undefined)).rejects.toMatchObject(
      { code: 503 },
    )
    expect(one.locked()).toEqual(['oidc:mallory'])
    expect(refusalOf(one)).toBeUndefined()
    await redis.start()
    await expect.poll(() => redis.command('HLEN', KEY)).toBe(2)
    expect(one.locked()).toEqual(['oidc:mallory'])
  })

  test('are restored by the replicas when Redis has lost its data', async () => {
    const [one, two] = [await ready(), await ready()]
    await one.lockStore.set(LOCK, () => undefined)
    await eventually(two, ['oidc:mallory'])
    await redis.command('FLUSHALL')
    await expect.poll(() => redis.command('HLEN', KEY)).toBe(2)
    expect([one.locked(), two.locked()]).toEqual([['oidc:mallory'], ['oidc:mallory']])
    expect((await ready()).locked()).toEqual(['oidc:mallory'])
    const restored = [...one.lines, ...two.lines].filter(({ msg }) =>
      String(msg).includes('had lost the locks'),
    )
    expect(restored).toHaveLength(1)
  })

  test('are restored before another one is set, which would hide the loss', async () => {
    const one = await ready()
    await one.lockStore.set(LOCK, () => undefined)
    await redis.command('FLUSHALL')
    await one.lockStore.set(OTHER, () => undefined)
    expect(one.locked()).toEqual(['contractors', 'oidc:mallory'])
    expect((await ready()).locked()).toEqual(['contractors', 'oidc:mallory'])
  })

  test('that have ended are neither in force nor restored, and are removed with the next one', async () => {
    const one = await ready()
    await one.lockStore.set({ ...LOCK, until: Date.now() - 1 }, () => undefined)
    expect(one.locked()).toEqual([])
    await one.lockStore.set(OTHER, () => undefined)
    expect(await redis.command('HLEN', KEY)).toBe(2)
  })

  test('end at the same time on a replica whose clock is off by an hour', async () => {
    const [one, ahead] = [await ready(), await ready({}, 3_600_000)]
    expect(Math.abs(ahead.locks.now('store') - one.locks.now('store'))).toBeLessThan(60_000)
    await ahead.lockStore.set(
      { ...LOCK, until: ahead.locks.now('store') + 1_800_000 },
      () => undefined,
    )
    expect(ahead.locked()).toEqual(['oidc:mallory'])
    await eventually(one, ['oidc:mallory'])
  })

  describe('with another secret', () => {
    test('are read with the previous one, and lifted', async () => {
      await (await ready({ secret: stateSecret('a') })).lockStore.set(LOCK, () => undefined)
      const rotated = await ready({ secret: stateSecret('b', 'a') })
      expect(rotated.locked()).toEqual(['oidc:mallory'])
      await rotated.lockStore.set({ ...LOCK, reason: 'Again.' }, () => undefined)
      expect(rotated.locks.of('store')).toEqual([{ ...LOCK, reason: 'Again.' }])
      expect(await rotated.lockStore.lift('user', 'oidc:mallory', () => undefined)).toBe(true)
      expect(rotated.locked()).toEqual([])
    })

    test('are read as soon as the file of the secret has the previous one again', async () => {
      await (await ready({ secret: stateSecret('a') })).lockStore.set(LOCK, () => undefined)
      const foreign = start({ secret: stateSecret('b') })
      await expect.poll(() => foreign.lockStore.missing).toContain('cannot be read')
      foreign.reload(stateSecret('b', 'a'))
      await expect.poll(() => foreign.lockStore.missing).toBeUndefined()
      expect(foreign.locked()).toEqual(['oidc:mallory'])
    })

    test('are missing: the replica is not ready and lets nobody in', async () => {
      await (await ready({ secret: stateSecret('a') })).lockStore.set(LOCK, () => undefined)
      const foreign = start({ secret: stateSecret('b') })
      await expect
        .poll(() => foreign.lockStore.missing)
        .toContain('put back the secret that they were sealed with')
      expect(refusalOf(foreign)).toMatchObject({ code: 503 })
    })
  })

  test('that were set again after their end stay, whatever other replicas set at that time', async () => {
    const [one, two] = [await ready(), await ready()]
    const brief = { ...LOCK, until: Date.now() + 200 }
    await one.lockStore.set(brief, () => undefined)
    await expect.poll(() => one.locked()).toEqual([])
    await two.lockStore.set(LOCK, () => undefined)
    await one.lockStore.set(OTHER, () => undefined)
    expect(one.locked()).toEqual(['contractors', 'oidc:mallory'])
    await eventually(two, ['contractors', 'oidc:mallory'])
  })

  test('that other replicas set at the same time are all kept', async () => {
    const both = [await ready(), await ready()]
    const names = ['a', 'b', 'c', 'd'].map((name) => `oidc:${name}`)
    const set = async (name: string, i: number) =>
      both[i % 2]?.lockStore.set({ ...LOCK, name }, () => undefined)
    await Promise.all(names.map(set))
    for (const one of both) await expect.poll(() => one.locked()).toEqual(names)
  })

  describe('of a Redis that has gone back to earlier data', () => {
    const saved = 'gh:{locks}:saved'

    test('stay in force, and are written back', async () => {
      const [one, two] = [await ready(), await ready()]
      await one.lockStore.set(LOCK, () => undefined)
      await redis.command('COPY', KEY, saved)
      await one.lockStore.set(OTHER, () => undefined)
      await eventually(two, ['contractors', 'oidc:mallory'])
      await redis.command('RENAME', saved, KEY)
      await expect.poll(() => redis.command('HLEN', KEY)).toBe(3)
      await new Promise((done) => setTimeout(done, 1_000))
      for (const replica of [one, two, await ready()]) {
        expect(replica.locked()).toEqual(['contractors', 'oidc:mallory'])
      }
    })

    test('stay in force when a replica that does not know them sets another one first', async () => {
      await (await ready()).lockStore.set(OTHER, () => undefined)
      await redis.command('COPY', KEY, saved)
      await replicas.pop()?.close()
      await redis.command('DEL', KEY)
      const one = await ready()
      await one.lockStore.set(LOCK, () => undefined)
      await redis.command('RENAME', saved, KEY)
      await eventually(one, ['contractors', 'oidc:mallory'])
      expect((await ready()).locked()).toEqual(['contractors', 'oidc:mallory'])
    })
  })

  describe('that somebody has changed in Redis', () => {
    test('stay in force when they are removed, and are written back', async () => {
      const [one, two] = [await ready(), await ready()]
      await one.lockStore.set(LOCK, () => undefined)
      await one.lockStore.set(OTHER, () => undefined)
      await eventually(two, ['contractors', 'oidc:mallory'])
      const [field = ''] = await fields()
      await redis.command('HDEL', KEY, field)
      await redis.command('HSET', KEY, 'version', 'x')
      await expect.poll(() => redis.command('HLEN', KEY)).toBe(3)
      for (const replica of [one, two, await ready()]) {
        expect(replica.locked()).toEqual(['contractors', 'oidc:mallory'])
      }
    })

    test('may be missing: a replica that starts is not ready', async () => {
      const one = await ready()
      await one.lockStore.set(LOCK, () => undefined)
      const [field = ''] = await fields()
      await replicas.pop()?.close()
      await redis.command('HDEL', KEY, field)
      const later = start()
      await expect.poll(() => later.lockStore.missing).toContain('cannot be read')
      expect(refusalOf(later)).toMatchObject({ code: 503 })
    })

    const fields = async (): Promise<readonly string[]> =>
      ((await redis.command('HKEYS', KEY)) as string[]).filter((field) => field !== 'version')

    test('stay what they were, while others are read', async () => {
      const [one, two] = [await ready(), await ready()]
      await one.lockStore.set(LOCK, () => undefined)
      await eventually(two, ['oidc:mallory'])
      const [field = ''] = await fields()
      await redis.command('HSET', KEY, field, 'nonsense', 'version', 'x')
      await one.lockStore.set(OTHER, () => undefined)
      expect(one.locked()).toEqual(['contractors', 'oidc:mallory'])
      await eventually(two, ['contractors', 'oidc:mallory'])
      expect(start().lockStore.missing).toBeDefined()
    })

    test('are not those of another target', async () => {
      const one = await ready()
      await one.lockStore.set(LOCK, () => undefined)
      const [field = ''] = await fields()
      const sealed = (await redis.command('HGET', KEY, field)) as string
      await redis.command('HSET', KEY, 'A'.repeat(22), sealed, 'version', 'x')
      const later = start()
      await expect.poll(() => later.lockStore.missing).toContain('cannot be read')
      expect(later.locked()).toEqual(['oidc:mallory'])
    })

    test('into a value of another kind stay in force', async () => {
      const one = await ready()
      await one.lockStore.set(LOCK, () => undefined)
      await redis.command('DEL', KEY)
      await redis.command('SET', KEY, 'nonsense')
      await expect(one.lockStore.set(OTHER, () => undefined)).rejects.toMatchObject({ code: 503 })
      expect(one.locked()).toEqual(['oidc:mallory'])
    })
  })

  describe('that were read too long ago', () => {
    test('stay in force by default', async () => {
      const one = await ready()
      await one.lockStore.set(LOCK, () => undefined)
      await redis.kill()
      one.elapsed += 120_000
      expect(refusalOf(one)).toBeUndefined()
      expect(refusalOf(one, 'oidc:mallory')).toMatchObject({ code: 403 })
      await redis.start()
    })

    test('refuse everybody, if the administrator wants it', async () => {
      const one = await ready({ onStale: 'refuse' })
      expect(refusalOf(one)).toBeUndefined()
      await redis.kill()
      one.elapsed += 59_000
      expect(refusalOf(one)).toBeUndefined()
      one.elapsed += 2_000
      expect(refusalOf(one)).toMatchObject({ code: 503, headers: { 'Retry-After': '1' } })
      // What is running goes on.
      expect(one.locks.lockOf(...subject('oidc:ada'))).toBeUndefined()
      await redis.start()
      await expect.poll(() => refusalOf(one)).toBeUndefined()
    })
  })

  test('that could be there let nobody in before Redis has responded', async () => {
    await redis.kill()
    const [one, without] = [start(), start({ isRequired: false })]
    expect(one.lockStore.missing).toContain('Redis')
    expect(refusalOf(one)).toMatchObject({ code: 503 })
    expect([without.lockStore.missing, refusalOf(without)]).toEqual([undefined, undefined])
    await redis.start()
    await expect.poll(() => refusalOf(one)).toBeUndefined()
  })
})

/** The store against a real Redis: what it runs, and what it does when Redis fails. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { RedisStore, RedisStoreOptions } from '../../src/state/redis-store.ts'
import { defineScript } from '../../src/state/shared-store.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { openStore, stateSecret } from '../support/redis-store.ts'

const COUNT = defineScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)

describe.skipIf(!hasRedis)('a store in Redis', () => {
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

  async function ready(options: Partial<RedisStoreOptions> = {}) {
    const opened = openStore(redis.port, options)
    stores.push(opened.store)
    await expect.poll(() => opened.store.problem).toBeUndefined()
    return opened.store
  }

  const count = (store: RedisStore, by = 1) =>
    store.run(COUNT, [store.key('x', 'count')], [by], Number)

  test('runs a script on keys with its prefix', async () => {
    const store = await ready()
    expect(await count(store)).toBe(1)
    expect(await count(store, 4)).toBe(5)
    expect(await redis.command('GET', 'gh:{x}:count')).toBe('5')
  })

  test('sends a script again that Redis has forgotten', async () => {
    const store = await ready()
    await redis.command('SCRIPT', 'FLUSH', 'SYNC')
    expect(await count(store)).toBe(1)
    expect(store.problem).toBeUndefined()
  })

  test('passes values as they are, never as a part of a script or command', async () => {
    const store = await ready()
    const echo = defineScript('return {KEYS[1], ARGV[1]}')
    for (const text of ["'] end redis.call('FLUSHALL') --", '\r\nFLUSHALL\r\n', '{a}', '\0', 'é']) {
      const key = store.key('x', text)
      expect(await store.run(echo, [key], [text], (reply) => reply)).toEqual([key, text])
    }
  })

  test('counts the replicas that are alive', async () => {
    const one = await ready()
    const two = await ready()
    expect(two.replicas).toBe(2)
    await redis.command('ZADD', 'gh:{replicas}:alive', '1', 'dead', '99999999999999', 'ahead')
    const three = await ready()
    expect(three.replicas).toBe(3)
    await two.close()
    await one.close()
    expect((await ready()).replicas).toBe(2)
  })

  test('has a problem when a reply is not what was asked for, until a probe succeeds', async () => {
    const store = await ready()
    const read = () => {
      throw new Error('not a number')
    }
    await expect(store.run(COUNT, [store.key('x', 'count')], [1], read)).rejects.toThrow(
      'not a number',
    )
    expect(store.problem).toBe('not a number')
    await expect(count(store)).rejects.toThrow('not a number')
    await expect.poll(() => store.problem).toBeUndefined()
  })

  test('calls back whenever it becomes usable', async () => {
    const store = await ready()
    let usable = 0
    store.onUsable(() => (usable += 1))
    expect(usable).toBe(1)
    await expect(store.run(COUNT, [], [], Number)).rejects.toThrow(/./)
    await expect.poll(() => usable).toBe(2)
  })

  test('has other digests with another secret, and the same connection', async () => {
    const store = await ready()
    const earlier = store.names.of('user', 'ada')
    store.updateSecret(stateSecret('n', 'k'))
    expect(store.problem).toBeUndefined()
    expect(store.names.of('user', 'ada')).not.toBe(earlier)
    expect(store.names.everyOf('user', 'ada')[1]).toBe(earlier)
  })
})

describe.skipIf(!hasRedis)('a Redis that', () => {
  let redis: TestRedis
  let store: RedisStore
  let lines: readonly Record<string, unknown>[]

  async function start(args: readonly string[] = [], options: Partial<RedisStoreOptions> = {}) {
    redis = await startRedis(args)
    ;({ store, lines } = openStore(redis.port, { timeout: 200, ...options }))
  }

  afterEach(async () => {
    await store.close()
    await redis.close()
  })

  const up = () => expect.poll(() => store.problem).toBeUndefined()
  const count = () => store.run(COUNT, [store.key('x', 'count')], [1], Number)
  const outcome = () => count().catch((error: unknown) => (error as Error).name)

  test('is killed and started again is used again', async () => {
    await start()
    await up()
    expect(await outcome()).toBe(1)
    await redis.kill()
    // Without being asked: what is in Redis may have to be written again.
    await expect.poll(() => store.problem).toMatch(/./)
    expect(await outcome()).toBe('StoreUnavailable')
    await redis.start()
    await up()
    expect(await outcome()).toBe(1)
    expect(lines.map(({ msg }) => msg)).toEqual([
      'Redis is used',
      'Redis cannot be used',
      'Redis is used',
    ])
  })

  test('hangs delays what was asked at that moment by one deadline, and nothing after that', async () => {
    await start()
    await up()
    redis.signal('SIGSTOP')
    // All wait at the same time, and for the same deadline.
    const outcomes = await Promise.all([outcome(), outcome(), outcome()])
    expect(outcomes).toEqual(Array<string>(3).fill('StoreUnavailable'))
    expect(store.problem).toBe('no response within 200 ms')
    // The circuit is open: no deadline is waited for, not even a turn of the event loop.
    let isDecided = false
    void outcome().then(() => (isDecided = true))
    for (let i = 0; i < 5; i += 1) await Promise.resolve()
    expect(isDecided).toBe(true)
    redis.signal('SIGCONT')
    await up()
  })

  test('does not accept the password is not used, and is used with the right one', async () => {
    await start(['--requirepass', 'right'], { password: 'wrong' })
    await expect.poll(() => store.problem).toMatch(/WRONGPASS/)
    expect(await outcome()).toBe('StoreUnavailable')
    await store.tryCredential({ password: 'right', ca: undefined })
    await up()
    expect(await outcome()).toBe(1)
    expect(JSON.stringify(lines)).not.toMatch(/right|"wrong"/)
  })

  test('gets a new password is used all the time, with the new one once that works', async () => {
    await start(['--requirepass', 'earlier'], { password: 'earlier' })
    await up()
    // Redis accepts both, as during a rotation.
    await redis.command('ACL', 'SETUSER', 'default', '>later')
    const enough = new AbortController()
    const outcomes = new Set<unknown>()
    const asking = (async () => {
      while (!enough.signal.aborted) outcomes.add(typeof (await outcome()))
    })()
    await store.tryCredential({ password: 'later', ca: undefined })
    enough.abort()
    await asking
    expect([...outcomes]).toEqual(['number'])
    const connections = async () =>
      String(await redis.command('CLIENT', 'LIST')).match(/name=gatehouse/g)
    await expect.poll(connections).toHaveLength(1)
    expect(await outcome()).toEqual(expect.any(Number))
    expect(lines.map(({ msg }) => msg)).toEqual([
      'Redis is used',
      'connected to Redis with the new credential',
    ])
  })

  test('does not accept a new password is used with the earlier one, until it does', async () => {
    await start(['--requirepass', 'earlier'], { password: 'earlier' })
    await up()
    const trial = store.tryCredential({ password: 'later', ca: undefined })
    await expect(trial).rejects.toThrow(/^the new credential was tried and is not used: WRONGPASS/)
    expect(store.problem).toBeUndefined()
    expect(await outcome()).toBe(1)
    await redis.command('ACL', 'SETUSER', 'default', '>later')
    await expect
      .poll(() => lines.map(({ msg }) => msg))
      .toContain('connected to Redis with the new credential')
    // What a retry of the reload finds.
    await store.tryCredential({ password: 'later', ca: undefined })
    expect(await outcome()).toBe(2)
    expect(JSON.stringify(lines)).not.toMatch(/later|earlier/)
  })

  test('does not accept a password that is taken back is not tried with it any more', async () => {
    await start(['--requirepass', 'earlier'], { password: 'earlier' })
    await up()
    const trial = store.tryCredential({ password: 'later', ca: undefined })
    await store.tryCredential({ password: 'earlier', ca: undefined })
    await expect(trial).rejects.toThrow('the new credential was tried')
    await redis.command('ACL', 'SETUSER', 'default', '>later')
    expect(await outcome()).toBe(1)
    expect(lines.map(({ msg }) => msg)).toEqual(['Redis is used'])
  })

  test('is out of memory is not used, until there is room', async () => {
    await start()
    await up()
    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    expect(await outcome()).toBe('StoreUnavailable')
    expect(store.problem).toMatch(/OOM/)
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    await up()
    expect(await outcome()).toBe(1)
  })
})

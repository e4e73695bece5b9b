import type { JWK } from 'jose'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { createKeySource, type KeySource } from '../../../src/authentication/oidc/jwks.ts'
import { createLog } from '../../../src/log.ts'
import { createSigningKey } from './issuer.ts'

const ISSUER = 'https://issuer.example'
let first: JWK
let second: JWK

beforeAll(async () => {
  first = (await createSigningKey('first')).publicJwk
  second = (await createSigningKey('second')).publicJwk
})

/** The issuer, the clock and the timer of one key source. */
interface World {
  keys: unknown[]
  failure: Error | undefined
  now: number
  random: number
  /** Number of fetches of the key set that have begun. */
  fetches: number
  /** Delays responses until it is settled. */
  gate: Promise<void>
  timers: { callback: () => void; delay: number }[]
  logged: string[]
  dropped: number
  fetched: number
  cachedUses: number
  closed: boolean
}

let world: World

beforeEach(() => {
  world = {
    keys: [first],
    failure: undefined,
    now: 1_800_000_000_000,
    random: 0.5,
    fetches: 0,
    gate: Promise.resolve(),
    timers: [],
    logged: [],
    dropped: 0,
    fetched: 0,
    cachedUses: 0,
    closed: false,
  }
})

const DAY_MS = 86_400_000

function start(keyLifetime = DAY_MS): KeySource {
  const { timers, logged } = world
  const options = { issuer: ISSUER, discoveryUrl: undefined, keyLifetime }
  return createKeySource(options, {
    fetcher: {
      async fetchJson(url, signal) {
        if (url.pathname.startsWith('/.well-known')) {
          return { issuer: ISSUER, jwks_uri: `${ISSUER}/keys` }
        }
        world.fetches++
        await world.gate
        signal.throwIfAborted()
        if (world.failure !== undefined) throw world.failure
        return { keys: world.keys }
      },
      send: () => Promise.reject(new Error('not for keys')),
      close() {
        world.closed = true
      },
    },
    timing: {
      clock: () => world.now,
      random: () => world.random,
      fetchTimeout: 10_000,
      schedule(callback, delay) {
        const timer = { callback, delay }
        timers.push(timer)
        return () => {
          if (timers.includes(timer)) timers.splice(timers.indexOf(timer), 1)
        }
      },
    },
    log: createLog({ level: 'info', destination: { write: (line) => logged.push(line) } }),
    onKeyDropped: () => world.dropped++,
    onFetched: () => world.fetched++,
    onCachedKeyUsed: () => world.cachedUses++,
  })
}

const kids = (source: KeySource) => source.current().map(({ kid }) => kid)

/** Fires the only pending timer and returns its delay. */
async function fire(source: KeySource): Promise<number> {
  expect(world.timers).toHaveLength(1)
  const [timer] = world.timers.splice(0)
  timer!.callback()
  await source.refetch()
  return timer!.delay
}

async function loaded(keyLifetime?: number): Promise<KeySource> {
  const source = start(keyLifetime)
  await source.refetch()
  return source
}

test('an unknown CA of the issuer is described by what to configure, not by an option of Node', async () => {
  world.failure = Object.assign(
    new Error('unable to verify; try running Node.js with --use-system-ca'),
    { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
  )
  expect((await loaded()).problem()).toBe(
    "the issuer's certificate is not signed by a trusted CA: set certificateAuthority for this issuer " +
      '(UNABLE_TO_VERIFY_LEAF_SIGNATURE)',
  )
})

test('an unusable key is logged once, and the other keys are used', async () => {
  const weak = {
    kty: 'RSA',
    kid: 'weak',
    n: Buffer.alloc(128, 0xff).toString('base64url'),
    e: 'AQAB',
  }
  world.keys = [null, weak, first]
  const source = await loaded()
  expect(kids(source)).toEqual(['first'])
  await fire(source)
  await fire(source)
  const lines = world.logged.filter((line) => line.includes('issuer publishes unusable keys'))
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    {
      issuer: ISSUER,
      count: 2,
      skipped: [
        {},
        { kid: 'weak', reason: 'its modulus has 1024 bits; 2048 to 8192 are supported' },
      ],
    },
  ])
  world.keys = [null, first]
  await fire(source)
  expect(
    world.logged.filter((line) => line.includes('issuer publishes unusable keys')),
  ).toHaveLength(2)
  source.close()
})

test('of a hundred unusable keys, ten are named in one log line', async () => {
  world.keys = [...Array.from({ length: 99 }, (_, i) => ({ kty: 'oct', kid: `k${i}` })), first]
  const source = await loaded()
  const line = world.logged.find((text) => text.includes('issuer publishes unusable keys')) ?? ''
  expect(line).toContain('"k9"')
  expect(line).not.toContain('"k10"')
  expect(line).toContain('"count":99')
  source.close()
})

describe('the first load', () => {
  test('begins immediately, and refetches join it', async () => {
    const source = start()
    expect(source.problem()).toBe('its keys are not loaded yet')
    expect(kids(source)).toEqual([])
    const results = await Promise.all([source.refetch(), source.refetch()])
    expect(results.map((keys) => keys[0]?.kid)).toEqual(['first', 'first'])
    expect(world.fetches).toBe(1)
    expect(source.problem()).toBeUndefined()
    source.close()
  })

  test('is retried with growing delays until it succeeds', async () => {
    world.failure = new Error('down')
    const source = await loaded()
    const delays: number[] = []
    for (let round = 0; round < 9; round++) delays.push(await fire(source))
    expect(delays).toEqual(
      [1, 2, 4, 8, 16, 32, 60, 60, 60].map((delay) => expect.closeTo(delay * 1_000) as number),
    )
    expect(source.problem()).toBe('down')
    world.failure = undefined
    await fire(source)
    expect(source.problem()).toBeUndefined()
    expect(kids(source)).toEqual(['first'])
    source.close()
  })

  test.for<[string, unknown[]]>([
    ['no key', []],
    ['no usable key', [{ kty: 'oct', k: 'AAAA' }]],
  ])('with %s is not a success', async ([, keys]) => {
    world.keys = keys
    const source = await loaded()
    expect(source.problem()).toBe(`${ISSUER}/keys contains no usable key`)
    source.close()
  })
})

describe('the refresh', () => {
  test.for([
    [0, 0.9],
    [0.5, 1],
    [1, 1.1],
  ] as const)('comes after an hour, spread by 10 % (random %d)', async ([random, factor]) => {
    world.random = random
    const source = await loaded()
    expect(world.timers.map(({ delay }) => delay)).toEqual([expect.closeTo(3_600_000 * factor)])
    source.close()
  })

  test('keeps the known keys and readiness if it fails, logs the failure and is retried soon', async () => {
    const source = await loaded()
    world.failure = new Error('down')
    await fire(source)
    expect(kids(source)).toEqual(['first'])
    expect(source.problem()).toBeUndefined()
    expect(world.logged.at(-1)).toContain('"reason":"down"')
    expect(world.timers[0]?.delay).toBeCloseTo(1_000)
    world.failure = undefined
    await fire(source)
    expect(world.timers[0]?.delay).toBeCloseTo(3_600_000)
    source.close()
  })

  test('reports a withdrawn key, and does not report a new one', async () => {
    const source = await loaded()
    world.keys = [first, second]
    await fire(source)
    expect(world.dropped).toBe(0)
    world.keys = [second]
    await fire(source)
    expect(world.dropped).toBe(1)
    expect(kids(source)).toEqual(['second'])
    source.close()
  })

  test('reports a key that was replaced by another with the same kid', async () => {
    const source = await loaded()
    world.keys = [{ ...second, kid: 'first' }]
    await fire(source)
    expect(world.dropped).toBe(1)
    source.close()
  })

  test('withdraws all keys if the issuer no longer publishes any', async () => {
    const source = await loaded()
    world.keys = []
    await fire(source)
    expect(kids(source)).toEqual([])
    expect(world.dropped).toBe(1)
    expect(world.logged.at(-1)).toContain('issuer no longer publishes a usable key')
    expect(source.problem()).toBeUndefined()
    source.close()
  })
})

describe('while the issuer is unreachable', () => {
  /** Fires the retries of an outage until `milliseconds` have passed. */
  async function outage(source: KeySource, milliseconds: number): Promise<void> {
    world.failure = new Error('down')
    for (const end = world.now + milliseconds; world.now < end;) {
      world.now += world.timers[0]!.delay
      await fire(source)
    }
  }

  test('keys are used until their lifetime is over, counted from the last fetch', async () => {
    const source = await loaded()
    await outage(source, DAY_MS - 60_000)
    expect(kids(source)).toEqual(['first'])
    expect(source.problem()).toBeUndefined()
    expect(world.dropped).toBe(0)
    const fetchedAt = 1_800_000_000_000
    await outage(source, fetchedAt + DAY_MS - world.now)
    // Not a whole retry later.
    expect(world.now - fetchedAt).toBeLessThan(DAY_MS + 1_000)
    expect(kids(source)).toEqual([])
    expect(source.problem()).toBe('down')
    expect(world.dropped).toBe(1)
    expect(JSON.parse(world.logged.at(-1)!)).toMatchObject({
      issuer: ISSUER,
      lastFetched: '2027-01-15T08:00:00.000Z',
      reason: 'down',
      msg: 'cached issuer keys have expired',
    })
    source.close()
  })

  test('expired keys are logged once, and the next fetch makes them good again', async () => {
    const source = await loaded()
    await outage(source, 2 * DAY_MS)
    expect(world.dropped).toBe(1)
    expect(world.logged.filter((line) => line.includes('have expired'))).toHaveLength(1)
    world.failure = undefined
    await fire(source)
    expect(kids(source)).toEqual(['first'])
    expect(source.problem()).toBeUndefined()
    expect(world.dropped).toBe(1)
    source.close()
  })

  test('a set without a usable key does not make expired keys good again', async () => {
    const source = await loaded()
    await outage(source, 2 * DAY_MS)
    world.failure = undefined
    world.keys = []
    await fire(source)
    expect(source.problem()).toBe(`${ISSUER}/keys contains no usable key`)
    source.close()
  })

  test('each use is counted, and logged once a minute', async () => {
    const source = await loaded()
    source.used()
    expect(world.cachedUses).toBe(0)
    world.failure = new Error('down')
    await fire(source)
    for (let use = 0; use < 100; use++) source.used()
    world.now += 60_000
    source.used()
    expect(world.cachedUses).toBe(101)
    const lines = world.logged.filter((line) => line.includes('verified with cached keys'))
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { issuer: ISSUER, reason: 'down', lastFetched: '2027-01-15T08:00:00.000Z', suppressed: 0 },
      { suppressed: 99 },
    ])
    world.failure = undefined
    await fire(source)
    source.used()
    expect(world.cachedUses).toBe(101)
    source.close()
  })

  test('keys of a short lifetime are refreshed before half of it is over', async () => {
    const source = await loaded(600_000)
    expect(world.timers[0]?.delay).toBeCloseTo(300_000)
    expect(world.fetched).toBe(1)
    source.close()
  })
})

describe('a token without a known key', () => {
  test('causes one fetch, and the next one after ten seconds', async () => {
    const source = await loaded()
    world.keys = [second]
    expect((await source.refetch()).map(({ kid }) => kid)).toEqual(['second'])
    expect(world.fetches).toBe(2)
    for (let ask = 0; ask < 1_000; ask++) await source.refetch()
    world.now += 9_999
    await source.refetch()
    expect(world.fetches).toBe(2)
    world.now += 1
    await Promise.all(Array.from({ length: 1_000 }, () => source.refetch()))
    expect(world.fetches).toBe(3)
    source.close()
  })

  test('causes a fetch even after the clock was set back', async () => {
    const source = await loaded()
    await source.refetch()
    world.now -= 86_400_000
    await source.refetch()
    expect(world.fetches).toBe(3)
    source.close()
  })

  test('postpones the refresh by an hour, and leaves one timer', async () => {
    const source = await loaded()
    await source.refetch()
    expect(world.timers.map(({ delay }) => delay)).toEqual([expect.closeTo(3_600_000)])
    source.close()
  })

  test('joins the fetch that is in progress while the issuer hangs', async () => {
    const source = await loaded()
    const { promise, resolve } = Promise.withResolvers<undefined>()
    world.gate = promise.then(() => undefined)
    const waiting: Promise<unknown>[] = []
    for (let ask = 0; ask < 100; ask++) {
      waiting.push(source.refetch())
      world.now += 1_000
    }
    expect(kids(source)).toEqual(['first'])
    resolve(undefined)
    await Promise.all(waiting)
    expect(world.fetches).toBe(2)
    source.close()
  })
})

describe('closing', () => {
  test('ends the timer and the client, and nothing is fetched or logged afterwards', async () => {
    const source = await loaded()
    const lines = world.logged.length
    source.close()
    expect(world.timers).toEqual([])
    expect(world.closed).toBe(true)
    await source.refetch()
    expect(world.fetches).toBe(1)
    expect(world.logged).toHaveLength(lines)
  })

  test('during a fetch does not leave a timer', async () => {
    const source = await loaded()
    const { promise, resolve } = Promise.withResolvers<undefined>()
    world.gate = promise.then(() => undefined)
    const asked = source.refetch()
    source.close()
    resolve(undefined)
    await asked
    expect(world.timers).toEqual([])
  })
})

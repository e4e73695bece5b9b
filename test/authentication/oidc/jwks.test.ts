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
  /** Fetches of the key set that were begun. */
  fetches: number
  /** Holds answers back until it is settled. */
  gate: Promise<void>
  timers: { callback: () => void; delay: number }[]
  logged: string[]
  dropped: number
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
    closed: false,
  }
})

function start(): KeySource {
  const { timers, logged } = world
  return createKeySource({
    issuer: ISSUER,
    discoveryUrl: undefined,
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
  })
}

const kids = (source: KeySource) => source.current().map(({ kid }) => kid)

/** The one timer that waits, gone off. */
async function fire(source: KeySource): Promise<number> {
  expect(world.timers).toHaveLength(1)
  const [timer] = world.timers.splice(0)
  timer!.callback()
  await source.refetch()
  return timer!.delay
}

async function loaded(): Promise<KeySource> {
  const source = start()
  await source.refetch()
  return source
}

test('a key that is no good costs one line of log, not the good ones', async () => {
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
  const lines = world.logged.filter((line) => line.includes('are not used'))
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    {
      issuer: ISSUER,
      count: 2,
      keys: [{}, { kid: 'weak', why: 'it has 1024 bits, not 2048 to 8192' }],
    },
  ])
  world.keys = [null, first]
  await fire(source)
  expect(world.logged.filter((line) => line.includes('are not used'))).toHaveLength(2)
  source.close()
})

test('a hundred keys that are no good are told in one line of ten', async () => {
  world.keys = [...Array.from({ length: 99 }, (_, i) => ({ kty: 'oct', kid: `k${i}` })), first]
  const source = await loaded()
  const line = world.logged.find((text) => text.includes('are not used')) ?? ''
  expect(line).toContain('"k9"')
  expect(line).not.toContain('"k10"')
  expect(line).toContain('"count":99')
  source.close()
})

describe('the first load', () => {
  test('begins at once, and who asks meanwhile joins it', async () => {
    const source = start()
    expect(source.problem()).toBe('its keys are not loaded yet')
    expect(kids(source)).toEqual([])
    const answers = await Promise.all([source.refetch(), source.refetch()])
    expect(answers.map((keys) => keys[0]?.kid)).toEqual(['first', 'first'])
    expect(world.fetches).toBe(1)
    expect(source.problem()).toBeUndefined()
    source.close()
  })

  test('is tried again with growing pauses until it succeeds', async () => {
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
  ])('with %s is no success', async ([, keys]) => {
    world.keys = keys
    const source = await loaded()
    expect(source.problem()).toBe(`${ISSUER}/keys has no usable key`)
    source.close()
  })
})

describe('renewal', () => {
  test.for([
    [0, 0.9],
    [0.5, 1],
    [1, 1.1],
  ] as const)('comes after an hour, give or take a tenth (%d)', async ([random, factor]) => {
    world.random = random
    const source = await loaded()
    expect(world.timers.map(({ delay }) => delay)).toEqual([expect.closeTo(3_600_000 * factor)])
    source.close()
  })

  test('that fails keeps the known keys, stays ready, is logged and soon tried again', async () => {
    const source = await loaded()
    world.failure = new Error('down')
    await fire(source)
    expect(kids(source)).toEqual(['first'])
    expect(source.problem()).toBeUndefined()
    expect(world.logged.at(-1)).toContain('"failure":"down"')
    expect(world.timers[0]?.delay).toBeCloseTo(1_000)
    world.failure = undefined
    await fire(source)
    expect(world.timers[0]?.delay).toBeCloseTo(3_600_000)
    source.close()
  })

  test('tells of a key that is gone, not of one that is new', async () => {
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

  test('tells of a key that another has replaced under the same name', async () => {
    const source = await loaded()
    world.keys = [{ ...second, kid: 'first' }]
    await fire(source)
    expect(world.dropped).toBe(1)
    source.close()
  })

  test('takes an issuer at its word that publishes no key any more', async () => {
    const source = await loaded()
    world.keys = []
    await fire(source)
    expect(kids(source)).toEqual([])
    expect(world.dropped).toBe(1)
    expect(world.logged.at(-1)).toContain('publishes no usable key any more')
    expect(source.problem()).toBeUndefined()
    source.close()
  })
})

describe('a token that no known key fits', () => {
  test('is worth one fetch, and the next one after ten seconds', async () => {
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

  test('is not kept from a fetch by a clock that was set back', async () => {
    const source = await loaded()
    await source.refetch()
    world.now -= 86_400_000
    await source.refetch()
    expect(world.fetches).toBe(3)
    source.close()
  })

  test('puts the renewal off by an hour, and leaves one timer', async () => {
    const source = await loaded()
    await source.refetch()
    expect(world.timers.map(({ delay }) => delay)).toEqual([expect.closeTo(3_600_000)])
    source.close()
  })

  test('of which many come while the issuer hangs: one fetch is under way', async () => {
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
  test('ends the timer and the client; nothing is fetched or logged any more', async () => {
    const source = await loaded()
    const lines = world.logged.length
    source.close()
    expect(world.timers).toEqual([])
    expect(world.closed).toBe(true)
    await source.refetch()
    expect(world.fetches).toBe(1)
    expect(world.logged).toHaveLength(lines)
  })

  test('in the middle of a fetch leaves no timer', async () => {
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

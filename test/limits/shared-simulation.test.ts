/** Replicas with a simulated Redis that is slow and fails: what all of them run, and what is left when all is over. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { RENEW } from '../../src/limits/limit-scripts.ts'
import type { Slot } from '../../src/limits/limiter.ts'
import { createSharedLimiter } from '../../src/limits/shared.ts'
import { createMetrics } from '../../src/metrics.ts'
import { HEARTBEAT_MS, LEASE_MS, type SharedStore } from '../../src/state/shared-store.ts'
import { StatusError } from '../../src/status.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  vi.clearAllTimers()
  vi.useRealTimers()
})

/** mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

type Values = readonly (string | number)[]

/** What the scripts do. */
class Redis {
  readonly buckets = new Map<string, number>()
  readonly leases = new Map<string, Map<string, { count: number; ends: number }>>()
  scripts = 0

  run(digest: string, keys: readonly string[], values: Values): unknown {
    this.scripts += 1
    return digest === RENEW.digest ? this.renew(keys[0]!, values) : this.charge(keys, values)
  }

  hash(key: string) {
    const hash = this.leases.get(key) ?? new Map<string, { count: number; ends: number }>()
    this.leases.set(key, hash)
    for (const [replica, { ends }] of hash) if (ends <= Date.now()) hash.delete(replica)
    return hash
  }

  allLeases(): string[] {
    return [...this.leases.keys()].flatMap((key) =>
      Array.from(this.hash(key), ([replica, { count }]) => `${key} ${replica}: ${count}`),
    )
  }

  renew(key: string, [replica, count]: Values): unknown {
    const hash = this.hash(key)
    if (count === 0) hash.delete(String(replica))
    else hash.set(String(replica), { count: Number(count), ends: Date.now() + LEASE_MS })
    return 1
  }

  charge([bucket, lease]: readonly string[], values: Values): unknown {
    const [step, burst, tokens, wanted] = values.slice(0, 4).map(Number) as [
      number,
      number,
      number,
      number,
    ]
    const now = Date.now() * 1000
    const full = step * burst
    let at = Math.max(now, this.buckets.get(bucket!) ?? 0)
    at = Math.max(now, Math.min(now + 2 * full, at + step * tokens))
    const wait = Math.max(0, at + step * wanted - full - now)
    if (wanted > 0 && wait === 0) at += step * wanted
    this.buckets.set(bucket!, at)
    let others = 0
    if (lease !== undefined) {
      const [replica, count, max] = [String(values[4]), Number(values[5]), Number(values[6])]
      const hash = this.hash(lease)
      for (const [of, each] of hash) if (of !== replica) others += each.count
      const refused = wanted > 0 && (wait > 0 || others + count > max)
      if (count === 0) hash.delete(replica)
      else if (!refused) hash.set(replica, { count, ends: Date.now() + LEASE_MS })
    }
    return [Math.ceil(at - now), Math.ceil(wait), others]
  }
}

/** A script waits as long at most, and so does its reply. */
const SLOWEST_MS = 30

/** As redis-store.ts: replies come in the order in which the scripts ran, and a failure opens the circuit. */
function storeOf(
  redis: Redis,
  replica: string,
  random: () => number,
  faults: { readonly rate: number },
) {
  const usable: (() => void)[] = []
  let ranUntil = 0
  let repliedUntil = 0
  const fail = (): void => {
    if (store.problem !== undefined) return
    store.problem = 'failed'
    setTimeout(() => {
      store.problem = undefined
      for (const listener of usable) listener()
    }, 200)
  }
  const store = {
    problem: undefined as string | undefined,
    replicas: 3,
    replica,
    names: { of: (kind: string, name: string) => `${kind} ${name}`, everyOf: () => [] },
    records: undefined as never,
    key: (name: string, what: string) => `${name} ${what}`,
    onUsable(listener: () => void) {
      usable.push(listener)
      listener()
    },
    run: (async (script, keys, values, read) => {
      if (store.problem !== undefined) throw new Error('problem')
      const fault = random() < faults.rate ? 1 + Math.floor(random() * 2) : 0
      ranUntil = Math.max(ranUntil, Date.now() + random() * SLOWEST_MS)
      repliedUntil = Math.max(repliedUntil, ranUntil + random() * SLOWEST_MS)
      const [runAt, replyAt] = [ranUntil, repliedUntil]
      await new Promise((resolve) => setTimeout(resolve, runAt - Date.now()))
      const reply = fault === 1 ? undefined : redis.run(script.digest, keys, values)
      await new Promise((resolve) => setTimeout(resolve, replyAt - Date.now()))
      if (fault === 0) return read(reply)
      fail()
      throw new Error('failed')
    }) satisfies SharedStore['run'],
  }
  return store
}

const WIDE = { requestsPerSecond: 100_000, burst: 100_000 }
const NAMES = ['ada', 'bob', 'eve']
const CLASSES = ['stream', 'read', 'list', 'read', 'list', 'read', 'list', 'write'] as const
const CONCURRENT = { requests: 80, streams: 8 }
const STEPS = 320
const PHASE_STEPS = 40
/** How many requests begin and end in a step at most: more and more, fewer, and a few all the time. */
const PHASES = [
  [200, 20],
  [200, 150],
  [20, 200],
  [2, 2],
] as const
/** Twice the delay of a report, and replies. */
const SETTLED_MS = 1_000

interface SimulationOptions {
  /** The part of scripts that fail; half of them have run. */
  readonly rate: number
  readonly maxKeys: number
}

async function simulate(seed: number, { rate, maxKeys }: SimulationOptions) {
  const random = randomOf(seed)
  const redis = new Redis()
  const faults = { rate }
  const user = seed % 2 === 0 ? WIDE : { requestsPerSecond: 200, burst: 100 }
  const replicas = ['a', 'b', 'c'].map((name) => {
    const store = storeOf(redis, name, random, faults)
    return createSharedLimiter(
      {
        ...{ address: WIDE, signIn: WIDE, groups: [], maxTrackedKeys: maxKeys },
        user: { read: user, write: WIDE, list: WIDE, stream: WIDE },
        concurrent: CONCURRENT,
        onFailure: 'local',
      },
      { metrics: createMetrics({ processMetrics: false }), store, now: () => Date.now() },
    )
  })
  const running = new Map<string, number>()
  let refused = 0
  const most = { requests: 0, streams: 0 }
  const held: { slot: Slot; key: string }[] = []
  const release = (i: number) => {
    const [one] = held.splice(i, 1)
    if (one === undefined) return
    running.set(one.key, running.get(one.key)! - 1)
    one.slot.release()
  }
  async function admit(): Promise<void> {
    const name = NAMES[Math.floor(random() ** 2 * NAMES.length)]!
    const classOf = CLASSES[Math.floor(random() * CLASSES.length)]!
    const what = classOf === 'stream' ? 'streams' : 'requests'
    const key = `${what} ${name}`
    const limiter = replicas[Math.floor(random() * replicas.length)]!
    try {
      const slot = await limiter.admitUser(
        { username: name, uid: '', groups: [], extra: {} },
        classOf,
      )
      const count = (running.get(key) ?? 0) + 1
      running.set(key, count)
      most[what] = Math.max(most[what], count)
      held.push({ slot, key })
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      refused += 1
    }
  }
  for (let step = 0; step < STEPS; step += 1) {
    const [begin, end] = PHASES[Math.floor(step / PHASE_STEPS) % PHASES.length]!
    for (let i = 0; i < random() * begin; i += 1) void admit()
    for (let i = 0; i < random() * end; i += 1) release(Math.floor(random() * held.length))
    await vi.advanceTimersByTimeAsync(Math.floor(random() * 20))
  }
  faults.rate = 0
  await vi.advanceTimersByTimeAsync(SETTLED_MS)
  const scriptsOf = async (milliseconds: number): Promise<number> => {
    const before = redis.scripts
    await vi.advanceTimersByTimeAsync(milliseconds)
    return redis.scripts - before
  }
  const whileHeld = await scriptsOf(12 * HEARTBEAT_MS)
  const timers = [vi.getTimerCount()]
  while (held.length > 0) release(0)
  await vi.advanceTimersByTimeAsync(SETTLED_MS)
  const leases = redis.allLeases()
  const afterwards = await scriptsOf(4 * LEASE_MS)
  timers.push(vi.getTimerCount())
  return { most, refused, whileHeld, timers, leases, afterwards, lateLeases: redis.allLeases() }
}

const SEEDS = Array.from({ length: 8 }, (_, i) => i + 1)

test.each(SEEDS)(
  'no limit is exceeded, and nothing is left when all has ended: %i',
  async (seed) => {
    const { most, refused, whileHeld, timers, leases, afterwards } = await simulate(seed, {
      rate: 0,
      maxKeys: 1_000,
    })
    expect(most.requests).toBeLessThanOrEqual(CONCURRENT.requests)
    expect(most.streams).toBeLessThanOrEqual(CONCURRENT.streams)
    expect(refused).toBeGreaterThan(0)
    // Each replica renews what runs of each user with each heartbeat, and sends nothing else.
    expect(whileHeld).toBeLessThanOrEqual(12 * 3 * NAMES.length * 2)
    // The heartbeats.
    expect(timers).toEqual([3, 3])
    expect({ leases, afterwards }).toEqual({ leases: [], afterwards: 0 })
  },
)

test.each(SEEDS)('nothing is left after a Redis that fails again and again: %i', async (seed) => {
  const { whileHeld, timers, leases, afterwards } = await simulate(seed, {
    rate: 0.03,
    maxKeys: 1_000,
  })
  expect(whileHeld).toBeLessThanOrEqual(12 * 3 * NAMES.length * 2)
  // The heartbeats.
  expect(timers).toEqual([3, 3])
  expect({ leases, afterwards }).toEqual({ leases: [], afterwards: 0 })
})

test.each(SEEDS)('with more users than are tracked, leases end by themselves: %i', async (seed) => {
  const { most, afterwards, lateLeases } = await simulate(seed, { rate: 0, maxKeys: 2 })
  expect(most.requests).toBeLessThanOrEqual(CONCURRENT.requests)
  expect(most.streams).toBeLessThanOrEqual(CONCURRENT.streams)
  expect({ afterwards, lateLeases }).toEqual({ afterwards: 0, lateLeases: [] })
})

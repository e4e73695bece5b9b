/**
 * Three replicas under more load than a budget allows. In any ten seconds, all of them together admit at
 * most five percent more than one replica would; and not much less.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { LimiterOptions } from '../../src/limits/memory.ts'
import { createSharedLimiter, type SharedLimiter } from '../../src/limits/shared.ts'
import type { BucketSize } from '../../src/limits/token-bucket.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { openStore } from '../support/redis-store.ts'

const WIDE = { requestsPerSecond: 100_000, burst: 100_000 }
const REPLICAS = 3
/** Requests that wait for each other, in each replica. */
const CLIENTS = 8
const WINDOW_MS = 10_000
const DURATION_MS = 13_000

describe.skipIf(!hasRedis)('three replicas together', () => {
  let redis: TestRedis

  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.close())

  const ada = { username: 'ada', uid: '', groups: [], extra: {} }
  const size = { requestsPerSecond: 40, burst: 100 }
  const small = { requestsPerSecond: 5, burst: 10 }
  /** Most of it is charged after it was given out. */
  const large = { requestsPerSecond: 200, burst: 1_500 }

  async function replica(limits: Partial<LimiterOptions>) {
    const { store, metrics } = openStore(redis.port)
    await expect.poll(() => store.problem).toBeUndefined()
    const limiter = createSharedLimiter(
      {
        ...{ address: WIDE, signIn: WIDE, groups: [], maxTrackedKeys: 1_000 },
        user: { read: WIDE, write: WIDE, list: WIDE, stream: WIDE },
        concurrent: { requests: 1_000, streams: 1_000 },
        ...limits,
        onFailure: 'local',
      },
      { metrics, store },
    )
    return { store, limiter }
  }

  interface Case {
    readonly title: string
    readonly budget: BucketSize
    readonly limits: Partial<LimiterOptions>
    /** `i`: which of the clients of a replica. */
    readonly admit: (limiter: SharedLimiter, i: number) => unknown
  }

  const cases: readonly Case[] = [
    {
      title: 'of a user',
      budget: size,
      limits: { user: { read: size, write: WIDE, list: WIDE, stream: WIDE } },
      admit: async (limiter) => (await limiter.admitUser(ada, 'read')).release(),
    },
    {
      title: 'of a user with a large limit',
      budget: large,
      limits: { user: { read: large, write: WIDE, list: WIDE, stream: WIDE } },
      async admit(limiter) {
        const grace = { ...ada, username: 'grace' }
        ;(await limiter.admitUser(grace, 'read')).release()
      },
    },
    {
      title: 'of an address',
      budget: size,
      limits: { address: size },
      admit: (limiter) => limiter.admitAddress('192.0.2.1'),
    },
    {
      title: 'of an address with a small limit',
      budget: small,
      limits: { address: small },
      admit: (limiter) => limiter.admitAddress('192.0.2.2'),
    },
    {
      title: 'of a group',
      budget: size,
      limits: { groups: [{ group: 'ci', ...size }] },
      async admit(limiter, i) {
        const member = { ...ada, username: `user ${i}`, groups: ['ci'] }
        ;(await limiter.admitUser(member, 'read')).release()
      },
    },
  ]

  test.concurrent.for(cases)('keep to the budget $title', async ({ budget, limits, admit }) => {
    const replicas = await Promise.all(Array.from({ length: REPLICAS }, () => replica(limits)))
    const admitted: number[] = []
    const end = performance.now() + DURATION_MS
    const client = async (limiter: SharedLimiter, i: number): Promise<void> => {
      while (performance.now() < end) {
        try {
          await admit(limiter, i)
          admitted.push(performance.now())
        } catch {
          // Refused.
        }
        await sleep(1)
      }
    }
    await Promise.all(
      replicas.flatMap(({ limiter }) =>
        Array.from({ length: CLIENTS }, (_, i) => client(limiter, i)),
      ),
    )
    for (const { limiter, store } of replicas) {
      await limiter.close()
      await store.close()
    }
    const { requestsPerSecond, burst } = budget
    const most = burst + (requestsPerSecond * WINDOW_MS) / 1_000
    const windows = admitted.map(
      (from) => admitted.filter((at) => at >= from && at < from + WINDOW_MS).length,
    )
    expect(Math.max(...windows)).toBeLessThanOrEqual(most * 1.05)
    const all = burst + (requestsPerSecond * DURATION_MS) / 1_000
    expect(admitted.length).toBeGreaterThan(all * 0.7)
  })
})

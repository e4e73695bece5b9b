/** The CPU that an admission takes, address and user together, in a process that does nothing else. */
import { promisify } from 'node:util'

import type { UserInfo } from '../src/authentication/authenticator.ts'
import type { Limiter } from '../src/limits/limiter.ts'
import { createMemoryLimiter, type LimiterOptions } from '../src/limits/memory.ts'
import { createSharedLimiter } from '../src/limits/shared.ts'
import { createLog } from '../src/log.ts'
import { createMetrics } from '../src/metrics.ts'
import { createRedisStore, type RedisStoreOptions } from '../src/state/redis-store.ts'

const ROUNDS = 12
const ADMISSIONS = 10_000
/** Requests that wait for a decision at the same time, as under load. */
const CLIENTS = 32
const POLL_MS = 20

const unlimited = { requestsPerSecond: 1e6, burst: 1e6 }
const limits: LimiterOptions = {
  address: unlimited,
  signIn: unlimited,
  user: { read: unlimited, write: unlimited, list: unlimited, stream: unlimited },
  groups: [],
  concurrent: { requests: 1_000, streams: 1_000 },
  maxTrackedKeys: 10_000,
}
const user: UserInfo = { username: 'oidc:ada@example.com', uid: '', groups: [], extra: {} }

const nextTurn = promisify(setImmediate)

/** Microseconds of CPU, in memory and with Redis. */
export async function admissionCosts(
  redis: RedisStoreOptions,
): Promise<{ memory: number; shared: number }> {
  const metrics = createMetrics({ processMetrics: false })
  const memory = await costOf(createMemoryLimiter(limits, { metrics }))
  const store = createRedisStore(redis, { log: createLog({ level: 'silent' }), metrics })
  while (store.problem !== undefined) await new Promise((done) => setTimeout(done, POLL_MS))
  const limiter = createSharedLimiter({ ...limits, onFailure: 'local' }, { metrics, store })
  const shared = await costOf(limiter)
  await limiter.close()
  await store.close()
  return { memory, shared }
}

/** The best of several rounds, since a disturbance only adds time. */
async function costOf(limiter: Limiter): Promise<number> {
  let best = Infinity
  for (let round = 0; round < ROUNDS; round += 1) {
    let begun = 0
    const client = async (): Promise<void> => {
      while (begun < ADMISSIONS) {
        begun += 1
        await limiter.admitAddress('192.0.2.1')
        const slot = await limiter.admitUser(user, 'read')
        slot.release()
        // As between requests: what is charged afterwards is sent then.
        await nextTurn()
      }
    }
    const before = process.cpuUsage()
    await Promise.all(Array.from({ length: CLIENTS }, client))
    const { user: own, system } = process.cpuUsage(before)
    best = Math.min(best, (own + system) / ADMISSIONS)
  }
  return best
}

/** The store of a replica, as tests use it. */
import { LOOPBACK } from '../../dev/loopback.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createRedisStore, type RedisStoreOptions } from '../../src/state/redis-store.ts'
import { parseStateSecret, type StateSecret } from '../../src/state/state-secret.ts'
import { memoryLog } from '../audit/fixtures.ts'

export function stateSecret(...lines: readonly string[]): StateSecret {
  const parsed = parseStateSecret(lines.map((line) => line.repeat(32)).join('\n'))
  if (!('current' in parsed)) throw new Error(parsed.join(': '))
  return parsed
}

/** @param port of a Redis on loopback */
export function openStore(port: number, options: Partial<RedisStoreOptions> = {}) {
  const { log, lines } = memoryLog()
  const metrics = createMetrics({ processMetrics: false })
  const store = createRedisStore(
    {
      ...{ mode: 'standalone', addresses: [{ host: LOOPBACK, port }], sentinelName: 'mymaster' },
      ...{ username: undefined, password: undefined, ca: undefined },
      ...{ timeout: 1_000, keyPrefix: 'gh:', secret: stateSecret('k') },
      ...options,
    },
    { log, metrics },
  )
  return { store, lines, metrics }
}

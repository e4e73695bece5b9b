/** `--redis`: what a request costs when replicas share their limits in Redis, and when each has its own. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Redis } from 'ioredis'

import { startFirstRunRedis, type FirstRunRedis } from '../dev/first-run/redis.ts'
import { LOOPBACK } from '../dev/loopback.ts'
import { parseStateSecret } from '../src/state/state-secret.ts'
import { admissionCosts } from './admission.ts'
import { pairedCpu, type CpuOf, type PairedCpuEffects } from './paired-cpu.ts'
import { gatehouse } from './peers/gatehouse.ts'
import type { Peer } from './peers/peer.ts'
import { formatTable, medianOf, type Results } from './results.ts'
import type { World } from './world.ts'

const ROUND_TRIPS = 5_000
const PROTOCOLS = ['h1', 'h2'] as const
const LATENCIES = ['p50', 'p99'] as const
const TITLES = ['CPU µs/req h1', 'CPU µs/req h2', 'p50 µs', 'p99 µs']
/** Of Gatehouse with Redis, and of Gatehouse without it. */
const PROCESSES = 4
const ROUNDS = 6
const LOAD_SECONDS = 2

export interface RedisBench {
  /** Gatehouse without Redis, and with it. */
  readonly peers: readonly [Peer, Peer]
  /** Measures the CPU per request of both. */
  cpu(world: World, effects: PairedCpuEffects): Promise<CpuOf>
  /**
   * A table of both, and of what a round trip to this Redis takes.
   *
   * @param results with the latencies
   */
  table(cpu: CpuOf, results: Results): Promise<string>
  close(): Promise<void>
}

/** Starts a real Redis on loopback. */
export async function startRedisBench(source: boolean): Promise<RedisBench> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-bench-redis-'))
  const redis = await startFirstRunRedis(directory, process.env['PATH'] ?? '')
  const without = gatehouse(source)
  const using = gatehouse(source, { state: redis.state })
  return {
    peers: [without, using],
    cpu: (world, effects) =>
      pairedCpu(
        {
          ...{ world, peers: [without, using], protocols: PROTOCOLS },
          ...{ processes: PROCESSES, rounds: ROUNDS, duration: LOAD_SECONDS },
        },
        effects,
      ),
    async table(cpu, results) {
      const values = [without, using].map((peer) => [
        ...PROTOCOLS.map((protocol) => cpu(peer, protocol).mean),
        ...LATENCIES.map((metric) => results.median(peer.name, metric) ?? NaN),
      ])
      const errors = PROTOCOLS.map((protocol) =>
        Math.hypot(cpu(without, protocol).error, cpu(using, protocol).error),
      )
      const [before = [], after = []] = values
      const added = after.map((value, i) => value - (before[i] ?? NaN))
      const rows = [
        ['memory', ...before.map(shown)],
        ['redis', ...after.map(shown)],
        ['added', ...added.map(shown)],
        ['+-', ...errors.map(shown)],
      ]
      const trip = (1_000 * (await roundTrip(redis))).toFixed(0)
      const { memory, shared } = await admissionCosts(await storeOptions(redis))
      return [
        formatTable([['state', ...TITLES], ...rows]),
        '',
        `round trip to Redis, p50: ${trip} µs`,
        `CPU of an admission by itself: ${shown(memory)} µs in memory, ${shown(shared)} µs with Redis`,
      ].join('\n')
    },
    async close() {
      await redis.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The median of PING, in milliseconds, from a process that does nothing else. */
async function roundTrip({ shown: { redisPort, redisPasswordFile } }: FirstRunRedis) {
  const password = (await readFile(redisPasswordFile, 'utf8')).trim()
  const client = new Redis({ host: LOOPBACK, port: redisPort, password })
  const trips: number[] = []
  for (let i = 0; i < ROUND_TRIPS; i += 1) {
    const since = performance.now()
    await client.ping()
    trips.push(performance.now() - since)
  }
  client.disconnect()
  return medianOf(trips) ?? NaN
}

async function storeOptions({ shown: { redisPort, redisPasswordFile } }: FirstRunRedis) {
  const secret = parseStateSecret(randomBytes(32).toString('hex'))
  if (!('current' in secret)) throw new Error(secret.join(': '))
  return {
    mode: 'standalone' as const,
    addresses: [{ host: LOOPBACK, port: redisPort }],
    sentinelName: '',
    username: undefined,
    password: (await readFile(redisPasswordFile, 'utf8')).trim(),
    ca: undefined,
    keyPrefix: 'bench:',
    timeout: 1_000,
    secret,
  }
}

function shown(value: number): string {
  return Number.isNaN(value) ? '-' : value.toFixed(Math.abs(value) < 10 ? 2 : 0)
}

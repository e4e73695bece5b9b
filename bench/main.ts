/** `npm run bench`: compares Gatehouse and its peers under the same load. See README.md. */
import { Command, InvalidArgumentError, Option } from 'commander'

import { goIsSufficient } from '../dev/parts/go-build.ts'
import { auditModeTables } from './audit-modes.ts'
import { peersOfGoals, verdicts } from './goals.ts'
import { impersonationTable } from './impersonation.ts'
import { memoryTable } from './memory/main.ts'
import { measurements, NOISY, type MeasurementName } from './measurements.ts'
import { gatehouse } from './peers/gatehouse.ts'
import { oidcProxy, oidcProxyDefaultPool, reverseProxy } from './peers/go.ts'
import { nginx } from './peers/nginx.ts'
import { httpProxy, undiciLoop } from './peers/node.ts'
import type { Peer } from './peers/peer.ts'
import { startRedisBench } from './redis.ts'
import { resultTables } from './results.ts'
import { runBench, type RunOptions, type RunOutcome } from './run.ts'
import { sharedPortTable } from './shared-port.ts'
import { microbenchmarkTable, stagePeers, stageTable } from './stages.ts'
import { machineFacts } from './tools.ts'
import { createWorld, type World } from './world.ts'

interface Options {
  only?: MeasurementName[]
  peers: string[]
  duration: number
  rounds?: number
  rate?: number
  watches: number
  memoryMinutes: number
  warmUp: number
  quick?: true
  stages?: true
  memory?: true
  auditModes?: true
  impersonation?: true
  processes?: true
  redis?: true
  source?: true
}

const names = Object.keys(measurements) as MeasurementName[]

const program = new Command('bench')
  .description('Compare Gatehouse and its peers under the same load, on loopback')
  .addOption(new Option('--only <measurements...>', 'take only these measurements').choices(names))
  .option('--peers <names...>', 'measure these peers, or "all"', [...peersOfGoals])
  .option('--duration <seconds>', 'duration of each load', positiveNumber, 5)
  .option(
    '--rounds <n>',
    'number of rounds; the results are medians (default: as many as the goals need)',
    positiveNumber,
  )
  .option(
    '--rate <n>',
    'requests per second in the latency measurement (default: half of what the peers can take)',
    positiveNumber,
  )
  .option('--watches <n>', 'number of idle watches', positiveNumber, 2000)
  .option(
    '--memory-minutes <n>',
    'duration of the load before memory is read; its growth needs at least 10',
    positiveNumber,
    0.5,
  )
  .option(
    '--warm-up <n>',
    'requests per protocol that warm up a peer before its requests are measured',
    positiveNumber,
    150_000,
  )
  .option('--quick', 'one round of 2 s with 500 watches: a first impression, not a result')
  .option('--stages', 'measure the cost of each stage of the pipeline over a bare undici loop')
  .option('--memory', 'measure how much memory clients can use within the shipped limits')
  .option('--audit-modes', 'measure what each mode of the audit log costs, and what a kill loses')
  .option('--impersonation', 'measure kubectl --as, where each request needs reviews of its own')
  .option('--processes', 'compare one process of Gatehouse with two that share a port')
  .option('--redis', 'measure what it costs to share limits in Redis')
  .option('--source', 'run Gatehouse from src instead of the published build')
  .action(bench)

await program.parseAsync()

async function bench(given: Options): Promise<void> {
  const options =
    given.quick === true
      ? { ...given, duration: 2, rounds: 1, watches: 500, warmUp: 10_000, memoryMinutes: 0.2 }
      : given
  if (process.platform !== 'linux') throw new Error('the bench reads /proc and runs on Linux only')
  if (!(await goIsSufficient())) {
    // Also with --peers: the upstream itself is a Go program.
    throw new Error('the bench needs Go for its upstream and its peers: https://go.dev/dl')
  }
  for (const line of await machineFacts()) console.log(line)
  const world = await createWorld()
  try {
    if (options.memory === true) await benchMemory(world)
    else if (options.auditModes === true) await benchAuditModes(world, options)
    else if (options.redis === true) await benchRedis(world, options)
    else if (options.impersonation === true) await benchImpersonation(world, options)
    else if (options.processes === true) await benchProcesses(world, options)
    else if (options.stages === true) await benchStages(world, options)
    else await benchPeers(world, options)
  } finally {
    await world.close()
  }
}

async function benchPeers(world: World, options: Options): Promise<void> {
  const peers = await available(options)
  const { results, rate, failures, rounds } = await measure(options, {
    world,
    peers,
    only: options.only ?? names,
    all: program.getOptionValueSource('peers') === 'cli',
  })
  console.log(`\n${resultTables(results, [...peers.map(({ name }) => name), 'direct'])}\n`)
  for (const { name, what } of peers) console.log(`${name}: ${what}`)
  if (!Number.isNaN(rate)) console.log(`\nlatency was measured at ${rate} requests per second`)
  console.log(`\n${verdicts(results, rounds)}`)
  printFailures(failures)
}

async function benchStages(world: World, options: Options): Promise<void> {
  const { results, failures } = await measure(options, {
    world,
    peers: stagePeers,
    only: ['cpu'],
    all: true,
  })
  console.log(`\n${stageTable(results)}\n\n${await microbenchmarkTable()}`)
  printFailures(failures)
}

async function benchAuditModes(world: World, options: Options): Promise<void> {
  const tables = auditModeTables({ rounds: NOISY, ...options, world }, { report })
  for await (const table of tables) console.log(`\n${table}`)
}

async function benchRedis(world: World, options: Options): Promise<void> {
  const bench = await startRedisBench(options.source === true)
  try {
    const { peers } = bench
    for (const { prepare } of peers.slice(0, 1)) await prepare()
    const cpu = await bench.cpu(world, { report })
    const { results, failures } = await measure(options, {
      ...{ world, peers, only: ['latency'] },
      all: true,
    })
    console.log(`\n${await bench.table(cpu, results)}`)
    printFailures(failures)
  } finally {
    await bench.close()
  }
}

async function benchImpersonation(world: World, options: Options): Promise<void> {
  console.log(`\n${await impersonationTable({ rounds: NOISY, ...options, world }, { report })}`)
}

async function benchProcesses(world: World, { source }: Options): Promise<void> {
  console.log(`\n${await sharedPortTable({ world, source: source === true }, { report })}`)
}

async function benchMemory(world: World): Promise<void> {
  await gatehouse(false).prepare()
  console.log(`\n${await memoryTable(world, report)}`)
}

function report(line: string): void {
  process.stderr.write(`[bench] ${line}\n`)
}

function measure(
  { rounds, duration, rate, watches, memoryMinutes, warmUp }: Options,
  subjects: Pick<RunOptions, 'world' | 'peers' | 'only' | 'all'>,
): Promise<RunOutcome> {
  const settings = {
    ...{ duration, rate, watches, memoryMinutes, warmUp },
    lists: duration * 40,
    frames: duration * 2_000,
  }
  return runBench({ ...subjects, rounds, settings }, { report })
}

function printFailures(failures: readonly string[]): void {
  for (const failure of failures) console.log(`\nFAILED ${failure}`)
  if (failures.length > 0) process.exitCode = 1
}

async function available(options: Options): Promise<Peer[]> {
  const all = [
    gatehouse(options.source === true),
    reverseProxy,
    oidcProxy,
    oidcProxyDefaultPool,
    httpProxy,
    undiciLoop,
    nginx,
  ]
  const chosen = options.peers.includes('all') ? all.map(({ name }) => name) : options.peers
  const unknown = chosen.find((name) => !all.some((peer) => peer.name === name))
  if (unknown !== undefined) {
    throw new Error(
      `unknown peer ${unknown}; the peers are ${all.map(({ name }) => name).join(', ')}`,
    )
  }
  const found: Peer[] = []
  for (const peer of all) {
    if (!chosen.includes(peer.name)) continue
    const missing = await peer.prepare()
    if (missing === undefined) found.push(peer)
    else console.log(`SKIPPED ${peer.name}: ${missing}`)
  }
  return found
}

function positiveNumber(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('must be a number above 0')
  return value
}

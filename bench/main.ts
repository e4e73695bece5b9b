/** `npm run bench`: Gatehouse and its peers under the same load in one run. See README.md. */
import { Command, InvalidArgumentError, Option } from 'commander'

import { goIsSufficient } from '../dev/parts/go-build.ts'
import { verdicts } from './goals.ts'
import { measurements, type MeasurementName } from './measurements.ts'
import { gatehouse } from './peers/gatehouse.ts'
import { oidcProxy, oidcProxyDefaultPool, reverseProxy } from './peers/go.ts'
import { nginx } from './peers/nginx.ts'
import { httpProxy, undiciLoop } from './peers/node.ts'
import type { Peer } from './peers/peer.ts'
import { table } from './results.ts'
import { runBench, type RunOptions } from './run.ts'
import { microTable, stagePeers, stageTable } from './stages.ts'
import { machineFacts } from './tools.ts'
import { createWorld, type World } from './world.ts'

interface Options {
  only?: MeasurementName[]
  peers?: string[]
  duration: number
  rounds: number
  rate: number
  watches: number
  warmUp: number
  quick?: true
  stages?: true
  source?: true
}

const names = Object.keys(measurements) as MeasurementName[]

const program = new Command('bench')
  .description('Gatehouse and its peers under the same load in one run, on loopback.')
  .addOption(new Option('--only <what...>', 'measure only these').choices(names))
  .option('--peers <names...>', 'only these peers')
  .option('--duration <seconds>', 'of each load', number, 5)
  .option('--rounds <n>', 'how often everything is measured; medians are shown', number, 3)
  .option('--rate <n>', 'requests a second for the latency', number, 650)
  .option('--watches <n>', 'idle watches', number, 2000)
  .option('--warm-up <n>', 'requests before anything counts', number, 60_000)
  .option('--quick', 'one round of 2 s with 500 watches: a first look, not a result')
  .option('--stages', 'what each stage of the pipeline costs over a bare undici loop')
  .option('--source', 'run Gatehouse from src instead of building it')
  .action(bench)

await program.parseAsync()

async function bench(given: Options): Promise<void> {
  const options =
    given.quick === true
      ? { ...given, duration: 2, rounds: 1, watches: 500, warmUp: 10_000 }
      : given
  if (process.platform !== 'linux') throw new Error('the bench reads /proc: it runs on Linux only')
  if (!(await goIsSufficient())) {
    // The upstream itself is a Go program.
    throw new Error(
      'the bench needs Go for its upstream and its peers: install it (https://go.dev)',
    )
  }
  for (const line of await machineFacts()) console.log(line)
  const world = await createWorld()
  try {
    await (options.stages === true ? benchStages(world, options) : benchPeers(world, options))
  } finally {
    await world.close()
  }
}

async function benchPeers(world: World, options: Options): Promise<void> {
  const peers = await available(options)
  const { results, failures } = await runBench({
    ...runOptions(world, options),
    peers,
    only: options.only ?? names,
  })
  console.log(`\n${table(results, [...peers.map(({ name }) => name), 'direct'])}\n`)
  for (const { name, what } of peers) console.log(`${name}: ${what}`)
  console.log(`\n${verdicts(results)}`)
  report(failures)
}

async function benchStages(world: World, options: Options): Promise<void> {
  const { results, failures } = await runBench({
    ...runOptions(world, options),
    peers: stagePeers,
    only: ['cpu'],
  })
  console.log(`\n${stageTable(results)}\n\n${await microTable()}`)
  report(failures)
}

function runOptions(world: World, options: Options): Omit<RunOptions, 'peers' | 'only'> {
  const { rounds, duration, rate, watches, warmUp } = options
  return {
    world,
    rounds,
    settings: { duration, rate, watches, lists: duration * 20, warmUp },
    say: (line) => process.stderr.write(`[bench] ${line}\n`),
  }
}

function report(failures: readonly string[]): void {
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
  const unknown = options.peers?.find((name) => !all.some((peer) => peer.name === name))
  if (unknown !== undefined) {
    throw new Error(`no peer ${unknown}: ${all.map(({ name }) => name).join(', ')}`)
  }
  const found: Peer[] = []
  for (const peer of all) {
    if (options.peers?.includes(peer.name) === false) continue
    const missing = await peer.prepare()
    if (missing === undefined) found.push(peer)
    else console.log(`SKIPPED ${peer.name}: ${missing}`)
  }
  return found
}

function number(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('a number above 0')
  return value
}

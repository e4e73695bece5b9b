/** One run of the bench: in each round, all peers in turn, so that other activity affects all of them. */
import { saturate } from './load.ts'
import {
  directLatency,
  measurements,
  startPeer,
  type MeasurementName,
  type Run,
  type Settings,
  type Subject,
} from './measurements.ts'
import type { Peer } from './peers/peer.ts'
import { createResults, type Results } from './results.ts'
import { findTool } from './tools.ts'
import { paths, type World } from './world.ts'

export interface RunOptions {
  world: World
  peers: readonly Peer[]
  only: readonly MeasurementName[]
  rounds: number
  settings: Settings
}

export interface RunEffects {
  /** Prints a line of progress. */
  report: (line: string) => void
}

export interface RunOutcome {
  results: Results
  /** The measurements that failed, with their errors. */
  failures: string[]
}

/** The duration of one warm-up load, and how many there are at most. */
const WARM_UP_SECONDS = 3
const MAX_WARM_UP_LOADS = 12

/** Takes all measurements. When one fails, its peer continues with the others. */
export async function runBench(options: RunOptions, { report }: RunEffects): Promise<RunOutcome> {
  const { world, settings } = options
  const run: Run = { world, settings, results: createResults() }
  const failures: string[] = []
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work()
      return true
    } catch (error) {
      failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
      report(`FAILED ${what}`)
      return false
    }
  }
  const names = await runnable(options.only, report)
  const subjects: Subject[] = []
  try {
    for (const peer of options.peers) {
      await attempt(`${peer.name}, start`, async () => {
        const subject = { peer, process: await startPeer(world, peer) }
        subjects.push(subject)
        report(`warming up ${peer.name}`)
        if (names.some((name) => name === 'cpu' || name === 'latency' || name === 'bulk')) {
          await warmUp(run, subject)
        }
      })
    }
    for (let round = 0; round < options.rounds; round += 1) {
      // Every other round runs backwards, so that no peer is always first or always after the same one.
      const order = round % 2 === 0 ? subjects : subjects.toReversed()
      for (const name of names) {
        if (name === 'latency') await attempt('direct, latency', () => directLatency(run))
        for (const subject of order) {
          report(`round ${round + 1} of ${options.rounds}: ${name}, ${subject.peer.name}`)
          await attempt(`${subject.peer.name}, ${name}`, () =>
            measurements[name].measure(run, subject),
          )
        }
      }
    }
  } finally {
    for (const { process } of subjects) await process.stop()
  }
  return { results: run.results, failures }
}

/** The measurements whose tools are installed; reports each of the others. */
async function runnable(
  only: readonly MeasurementName[],
  report: RunEffects['report'],
): Promise<MeasurementName[]> {
  const found: MeasurementName[] = []
  for (const name of only) {
    const tools = await Promise.all(
      measurements[name].tools.map(async (tool) => ({ tool, path: await findTool(tool) })),
    )
    const missing = tools.filter(({ path }) => path === undefined).map(({ tool }) => tool)
    if (missing.length === 0) found.push(name)
    else {
      const tools = missing.join(' and ')
      report(`SKIPPED ${name}: missing ${tools} (Debian: apt-get install wrk nghttp2-client)`)
    }
  }
  return found
}

async function warmUp({ world, settings }: Run, { peer, process }: Subject): Promise<void> {
  const target = {
    url: process.url + paths.pod,
    caFile: world.ca.certFile,
    token: world.issuer.token,
  }
  const wanted = peer.isCompiledAtRuntime ? settings.warmUp : 1
  for (const protocol of peer.protocols) {
    if ((await findTool(protocol === 'h1' ? 'wrk' : 'h2load')) === undefined) continue
    let requests = 0
    for (let load = 0; requests < wanted && load < MAX_WARM_UP_LOADS; load += 1) {
      requests += await saturate(protocol, target, WARM_UP_SECONDS)
    }
  }
}

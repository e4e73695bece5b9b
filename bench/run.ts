/** One run of the bench: all peers in turn, round by round, so that what the machine does meanwhile hits all. */
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
import { Results } from './results.ts'
import { findTool } from './tools.ts'
import { paths, type World } from './world.ts'

export interface RunOptions {
  world: World
  peers: readonly Peer[]
  only: readonly MeasurementName[]
  rounds: number
  settings: Settings
  say: (line: string) => void
}

export interface RunOutcome {
  results: Results
  /** What could not be measured, and why. */
  failures: string[]
}

/** Seconds of load at a time before anything counts, and how often at most. */
const warmUpSeconds = 3
const warmUpLoads = 12

/** Measures; a peer that fails in one thing goes on with the others. */
export async function runBench(options: RunOptions): Promise<RunOutcome> {
  const { world, settings, say } = options
  const run: Run = { world, settings, results: new Results() }
  const failures: string[] = []
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work()
      return true
    } catch (error) {
      failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
      say(`FAILED ${what}`)
      return false
    }
  }
  const names = await runnable(options.only, say)
  const subjects: Subject[] = []
  try {
    for (const peer of options.peers) {
      await attempt(`${peer.name}, start`, async () => {
        const subject = { peer, process: await startPeer(world, peer) }
        subjects.push(subject)
        say(`warming up ${peer.name}`)
        if (names.some((name) => name === 'cpu' || name === 'latency' || name === 'bulk')) {
          await warmUp(run, subject)
        }
      })
    }
    for (let round = 0; round < options.rounds; round += 1) {
      // Every other round backwards: nobody always runs first, or behind the same one.
      const order = round % 2 === 0 ? subjects : subjects.toReversed()
      for (const name of names) {
        if (name === 'latency') await attempt('direct, latency', () => directLatency(run))
        for (const subject of order) {
          say(`round ${round + 1} of ${options.rounds}: ${name}, ${subject.peer.name}`)
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

/** Those whose tools are there; a loud line for each of the others. */
async function runnable(
  only: readonly MeasurementName[],
  say: (line: string) => void,
): Promise<MeasurementName[]> {
  const found: MeasurementName[] = []
  for (const name of only) {
    const tools = await Promise.all(
      measurements[name].tools.map(async (tool) => ({ tool, path: await findTool(tool) })),
    )
    const missing = tools.filter(({ path }) => path === undefined).map(({ tool }) => tool)
    if (missing.length === 0) found.push(name)
    else {
      say(
        `SKIPPED ${name}: no ${missing.join(', no ')} (Debian: apt-get install wrk nghttp2-client)`,
      )
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
    for (let load = 0; requests < wanted && load < warmUpLoads; load += 1) {
      requests += await saturate(protocol, target, warmUpSeconds)
    }
  }
}

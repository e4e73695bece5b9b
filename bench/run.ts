/** One run of the bench: in each round, all peers in turn, so that other activity affects all of them. */
import { paceLimit } from './load.ts'
import { GATEHOUSE, OIDC_PROXY } from './goals.ts'
import { startPeer, target, type Round, type Settings, type Subject } from './measurement.ts'
import { directLatency } from './measurements/latency.ts'
import { entryOf, measurements, type MeasurementName } from './measurements.ts'
import type { Peer } from './peers/peer.ts'
import { createResults, type Results } from './results.ts'
import { findTool } from './tools.ts'
import { warmUp } from './warm-up.ts'
import { paths, type World } from './world.ts'

export interface RunOptions {
  world: World
  peers: readonly Peer[]
  only: readonly MeasurementName[]
  /** Undefined: as many as the goals of a measurement need. */
  rounds: number | undefined
  /** Whether all peers take also the measurements whose goals are values of Gatehouse alone. */
  all: boolean
  /** Without a rate, it is half of what Gatehouse and its peer can take. */
  settings: Omit<Settings, 'rate'> & { rate?: number | undefined }
}

export interface RunEffects {
  /** Prints a line of progress. */
  report: (line: string) => void
}

export interface RunOutcome {
  results: Results
  /** Requests per second in the latency measurement. */
  rate: number
  /** The measurements that failed, with their errors. */
  failures: string[]
  /** The rounds that were run. */
  rounds: number
}

/** These start processes of their own. */
const needsNoWarmUp: ReadonlySet<MeasurementName> = new Set(['cpu', 'watches', 'memory', 'start'])
/** How long the load takes that finds the rate for the latency measurement. */
const LIMIT_SECONDS = 3

/** Takes all measurements. When one fails, its peer continues with the others. */
export async function runBench(options: RunOptions, { report }: RunEffects): Promise<RunOutcome> {
  const { world } = options
  const results = createResults()
  const settings = { ...options.settings, rate: options.settings.rate ?? NaN }
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
  const roundsOf = (name: MeasurementName): number => options.rounds ?? entryOf(name).rounds
  const rounds = Math.max(0, ...names.map(roundsOf))
  try {
    for (const peer of options.peers) {
      await attempt(`${peer.name}, start`, async () => {
        const subject = { peer, process: await startPeer(world, peer) }
        subjects.push(subject)
        if (names.every((name) => needsNoWarmUp.has(name))) return
        report(`warming up ${peer.name}`)
        await warmUp(options, subject)
      })
    }
    if (names.includes('latency') && options.settings.rate === undefined) {
      await attempt('half of the load', async () => {
        settings.rate = await halfLoad(world, subjects)
      })
    }
    for (let round = 0; round < rounds; round += 1) {
      const thisRound: Round = {
        world,
        settings,
        add: (peer, metric, value) => results.add(round, peer, metric, value),
      }
      // Every other round runs backwards, so that no peer is always first or always after the same one.
      const order = round % 2 === 0 ? subjects : subjects.toReversed()
      for (const name of names.filter((each) => round < roundsOf(each))) {
        if (name === 'latency') await attempt('direct, latency', () => directLatency(thisRound))
        const isOwn = !options.all && entryOf(name).isOwn === true
        for (const subject of order.filter(({ peer }) => !isOwn || peer.name === GATEHOUSE)) {
          report(`round ${round + 1} of ${roundsOf(name)}: ${name}, ${subject.peer.name}`)
          await attempt(`${subject.peer.name}, ${name}`, () =>
            measurements[name].measure(thisRound, subject),
          )
        }
      }
    }
  } finally {
    for (const { process } of subjects) await process.stop()
  }
  return { results, rate: settings.rate, failures, rounds }
}

/** Half of the requests per second that the slower one of Gatehouse and its peer serves. */
async function halfLoad(world: World, subjects: readonly Subject[]): Promise<number> {
  const compared = subjects.filter(({ peer }) => [GATEHOUSE, OIDC_PROXY].includes(peer.name))
  let slowest = Infinity
  for (const subject of compared.length > 0 ? compared : subjects) {
    const rate = await paceLimit(target({ world }, subject, paths.pod), LIMIT_SECONDS)
    slowest = Math.min(slowest, rate)
  }
  return Math.round(slowest / 2)
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

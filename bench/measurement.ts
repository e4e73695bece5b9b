/** What all measurements share: a peer's process under measurement, and where its results go. */
import type { Target } from './load.ts'
import type { Peer, Protocol } from './peers/peer.ts'
import { startProcess, type RunningProcess } from './processes.ts'
import { waitUntilReady } from './ready.ts'
import type { MetricId } from './results.ts'
import { paths, type World } from './world.ts'

export interface Settings {
  /** Duration of each load, in seconds. */
  duration: number
  /** Requests per second in the latency measurement. */
  rate: number
  watches: number
  /** Number of 5 MB lists per bulk measurement. */
  lists: number
  /** Number of frames of 32 KiB per tunnel. */
  frames: number
  /** How long the load lasts after which the memory is read, in minutes. */
  memoryMinutes: number
  /** Requests per protocol before requests are measured, for peers that are compiled at run time. */
  warmUp: number
}

export interface Subject {
  peer: Peer
  process: RunningProcess
}

/** One round of a run. */
export interface Round {
  world: World
  settings: Settings
  add: (peer: string, metric: MetricId, value: number) => void
}

/** Measures a peer, whose process has been under load before, and adds samples to the round. */
export type Measurement = (round: Round, subject: Subject) => Promise<void>

/** Starts a peer and waits until it returns a Pod. */
export async function startPeer(
  world: World,
  peer: Peer,
  { countsAllocations = false }: { countsAllocations?: boolean } = {},
): Promise<RunningProcess> {
  const process = await startProcess(
    peer.name,
    (port, directory) => peer.command(world, port, directory),
    { countsAllocations: countsAllocations && peer.isCompiledAtRuntime },
  )
  try {
    const probe = {
      url: process.url,
      path: paths.pod,
      caFile: world.ca.certFile,
      token: world.issuer.token,
    }
    await Promise.race([waitUntilReady(probe), process.failed])
    return process
  } catch (error) {
    await process.stop()
    throw error
  }
}

/** Starts a process of the peer for one measurement, and stops it afterwards. */
export async function inFreshProcess(
  { world }: Round,
  peer: Peer,
  use: (process: RunningProcess) => Promise<void>,
  options: { countsAllocations?: boolean } = {},
): Promise<void> {
  const process = await startPeer(world, peer, options)
  try {
    await use(process)
  } finally {
    await process.stop()
  }
}

/** A path at a peer, with the user's token. */
export function target(
  { world }: Pick<Round, 'world'>,
  { process }: Subject,
  path: string,
): Target {
  return { url: process.url + path, caFile: world.ca.certFile, token: world.issuer.token }
}

/** Measures each protocol that the peer serves. */
export async function eachProtocol(
  { peer }: Subject,
  measure: (protocol: Protocol) => Promise<void>,
): Promise<void> {
  for (const protocol of peer.protocols) await measure(protocol)
}

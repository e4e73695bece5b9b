/** The measurements: each adds its samples to the results. */
import { setTimeout as sleep } from 'node:timers/promises'

import { openWatches, pace, saturate, transfer, type Latency, type Target } from './load.ts'
import type { Peer, Protocol } from './peers/peer.ts'
import { cpuSeconds, residentKiB } from './proc.ts'
import { startProcess, type RunningProcess } from './processes.ts'
import { waitUntilReady } from './ready.ts'
import type { Results } from './results.ts'
import { paths, type World } from './world.ts'

/** How long the memory of a process may settle, before watches are opened and afterwards. */
const SETTLE_MS = 1_000
const WATCH_SETTLE_MS = 3_000

export interface Settings {
  /** Duration of each load, in seconds. */
  duration: number
  /** Requests per second in the latency measurement. */
  rate: number
  watches: number
  /** Number of 5 MB lists per bulk measurement. */
  lists: number
  /** Requests per protocol before the first measurement, for peers that are compiled at run time. */
  warmUp: number
}

export interface Subject {
  peer: Peer
  process: RunningProcess
}

export interface Run {
  world: World
  settings: Settings
  results: Results
}

type Measurement = (run: Run, subject: Subject) => Promise<void>

/** CPU and rate under the load of 32 concurrent clients. */
const cpu: Measurement = (run, subject) =>
  eachProtocol(subject, async (protocol) => {
    const { results, settings } = run
    const { name } = subject.peer
    const began = cpuSeconds(subject.process.pid)
    const requests = await saturate(protocol, target(run, subject, paths.pod), settings.duration)
    const used = cpuSeconds(subject.process.pid) - began
    results.add(name, `cpu/${protocol}`, (used / requests) * 1e6)
    results.add(name, `rate/${protocol}`, requests / settings.duration)
  })

/** Latency over HTTP/1.1, at a rate far below the capacity of every peer. */
const latency: Measurement = async (run, subject) => {
  const { rate, duration } = run.settings
  addLatency(
    run,
    subject.peer.name,
    await pace('h1', target(run, subject, paths.pod), rate, duration),
  )
}

/** The same without a proxy: the latency of the upstream and of the load generator. */
export async function directLatency(run: Run): Promise<void> {
  const { world, settings } = run
  const direct: Target = {
    url: world.upstream.url + paths.pod,
    caFile: world.ca.certFile,
    token: world.issuer.token,
    certificate: world.client,
  }
  addLatency(run, 'direct', await pace('h1', direct, settings.rate, settings.duration))
}

function addLatency({ results }: Run, name: string, measured: Latency): void {
  results.add(name, 'p50', measured.p50)
  results.add(name, 'p99', measured.p99)
}

/** CPU per GB (1e9 bytes) of uncompressed 5 MB lists. */
const bulk: Measurement = (run, subject) =>
  eachProtocol(subject, async (protocol) => {
    const began = cpuSeconds(subject.process.pid)
    const bytes = await transfer(protocol, target(run, subject, paths.list), run.settings.lists)
    const used = cpuSeconds(subject.process.pid) - began
    run.results.add(subject.peer.name, `bulk/${protocol}`, (used / bytes) * 1e9)
  })

/** Growth of the resident memory with idle watches, in a new process. */
const watches: Measurement = (run, subject) =>
  eachProtocol(subject, async (protocol) => {
    const { results, settings } = run
    const { peer } = subject
    await inFreshProcess(run, peer, async (process) => {
      const fresh = { peer, process }
      await saturate(protocol, target(run, fresh, paths.pod), 1)
      await sleep(SETTLE_MS)
      const before = residentKiB(process.pid)
      const watch = target(run, fresh, paths.watch)
      const close = await openWatches(protocol, watch, settings.watches)
      try {
        await sleep(WATCH_SETTLE_MS)
        const grown = residentKiB(process.pid) - before
        results.add(peer.name, `watch/${protocol}`, grown / settings.watches)
      } finally {
        await close()
      }
    })
  })

/** The time from the start of the process to the first Pod that it returns. */
const ready: Measurement = async (run, { peer }) => {
  await inFreshProcess(run, peer, async ({ startedAt }) => {
    run.results.add(peer.name, 'ready', performance.now() - startedAt)
  })
}

/** Starts a peer and waits until it returns a Pod. */
export async function startPeer(world: World, peer: Peer): Promise<RunningProcess> {
  const process = await startProcess(peer.name, (port, directory) =>
    peer.command(world, port, directory),
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

async function inFreshProcess(
  { world }: Run,
  peer: Peer,
  use: (process: RunningProcess) => Promise<void>,
): Promise<void> {
  const process = await startPeer(world, peer)
  try {
    await use(process)
  } finally {
    await process.stop()
  }
}

function target({ world }: Run, { process }: Subject, path: string): Target {
  return { url: process.url + path, caFile: world.ca.certFile, token: world.issuer.token }
}

async function eachProtocol(
  { peer }: Subject,
  measure: (protocol: Protocol) => Promise<void>,
): Promise<void> {
  for (const protocol of peer.protocols) await measure(protocol)
}

/** All measurements, with the tools that each requires. */
export const measurements = {
  cpu: { measure: cpu, tools: ['wrk', 'h2load'] },
  latency: { measure: latency, tools: [] },
  bulk: { measure: bulk, tools: ['h2load'] },
  watches: { measure: watches, tools: ['wrk', 'h2load'] },
  ready: { measure: ready, tools: [] },
} as const satisfies Record<string, { measure: Measurement; tools: readonly string[] }>

export type MeasurementName = keyof typeof measurements

/** One function a thing measured; each adds its samples to the results. */
import { setTimeout as sleep } from 'node:timers/promises'

import { openWatches, pace, saturate, transfer, type Target } from './load.ts'
import type { Peer, Protocol } from './peers/peer.ts'
import { cpuSeconds, residentKiB } from './proc.ts'
import { startProcess, type RunningProcess } from './processes.ts'
import { waitUntilReady } from './ready.ts'
import type { Results } from './results.ts'
import { paths, type World } from './world.ts'

export interface Settings {
  /** Seconds of each load. */
  duration: number
  /** Requests a second for the latency. */
  rate: number
  watches: number
  /** 5 MB lists a measurement. */
  lists: number
  /** Requests before anything counts, over each protocol, where code is compiled as it runs. */
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

export type Measurement = (run: Run, subject: Subject) => Promise<void>

/** CPU and rate under as many requests as 32 clients send. */
export const cpu: Measurement = (run, subject) =>
  eachProtocol(subject, async (protocol) => {
    const { results, settings } = run
    const { name } = subject.peer
    const began = cpuSeconds(subject.process.pid)
    const requests = await saturate(protocol, target(run, subject, paths.pod), settings.duration)
    const used = cpuSeconds(subject.process.pid) - began
    results.add(name, `cpu/${protocol}`, (used / requests) * 1e6)
    results.add(name, `rate/${protocol}`, requests / settings.duration)
  })

/** Latency at a rate that all of them carry easily, HTTP/1.1. */
export const latency: Measurement = async (run, subject) => {
  const { rate, duration } = run.settings
  addLatency(
    run,
    subject.peer.name,
    await pace('h1', target(run, subject, paths.pod), rate, duration),
  )
}

/** The same without any proxy: what the upstream and the load themselves take. */
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

function addLatency({ results }: Run, name: string, seen: { p50: number; p99: number }): void {
  results.add(name, 'p50', seen.p50)
  results.add(name, 'p99', seen.p99)
}

/** CPU a GB (1e9 bytes) of 5 MB lists that are not compressed. */
export const bulk: Measurement = (run, subject) =>
  eachProtocol(subject, async (protocol) => {
    const began = cpuSeconds(subject.process.pid)
    const bytes = await transfer(protocol, target(run, subject, paths.list), run.settings.lists)
    const used = cpuSeconds(subject.process.pid) - began
    run.results.add(subject.peer.name, `bulk/${protocol}`, (used / bytes) * 1e9)
  })

/** How much resident memory grows with idle watches, in a process started for it. */
export const watches: Measurement = (run, subject) =>
  eachProtocol(subject, async (protocol) => {
    const { results, settings } = run
    const { peer } = subject
    await inFreshProcess(run, peer, async (process) => {
      const fresh = { peer, process }
      await saturate(protocol, target(run, fresh, paths.pod), 1)
      await sleep(1_000)
      const before = residentKiB(process.pid)
      const watch = target(run, fresh, paths.watch)
      const close = await openWatches(protocol, watch, settings.watches)
      try {
        await sleep(3_000)
        const grown = residentKiB(process.pid) - before
        results.add(peer.name, `watch/${protocol}`, grown / settings.watches)
      } finally {
        await close()
      }
    })
  })

/** From the start of the process to the first Pod through it. */
export const ready: Measurement = async (run, { peer }) => {
  await inFreshProcess(run, peer, async ({ startedAt }) => {
    run.results.add(peer.name, 'ready', performance.now() - startedAt)
  })
}

/** Starts a peer and waits until a Pod comes through it. */
export async function startPeer(world: World, peer: Peer): Promise<RunningProcess> {
  const process = await startProcess(peer.name, (port, directory) =>
    peer.command(world, port, directory),
  )
  try {
    const question = {
      url: process.url,
      path: paths.pod,
      caFile: world.ca.certFile,
      token: world.issuer.token,
    }
    await Promise.race([waitUntilReady(question), process.failed])
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

/** Which tools a measurement cannot do without. */
export const measurements = {
  cpu: { measure: cpu, tools: ['wrk', 'h2load'] },
  latency: { measure: latency, tools: [] },
  bulk: { measure: bulk, tools: ['h2load'] },
  watches: { measure: watches, tools: ['wrk', 'h2load'] },
  ready: { measure: ready, tools: [] },
} as const satisfies Record<string, { measure: Measurement; tools: readonly string[] }>

export type MeasurementName = keyof typeof measurements

/**
 * CPU per request of peers that differ little. Two processes of one peer differ by more than that, and so do
 * two minutes of one process: several processes of each peer take turns, for a short time each.
 */
import { saturate } from './load.ts'
import { startPeer, target, type Subject } from './measurement.ts'
import { cpuSeconds } from './proc.ts'
import type { Peer, Protocol } from './peers/peer.ts'
import { paths, type World } from './world.ts'

export interface PairedCpuOptions {
  readonly world: World
  readonly peers: readonly Peer[]
  /** Of each peer. */
  readonly processes: number
  readonly rounds: number
  /** Of each load, in seconds. */
  readonly duration: number
  readonly protocols: readonly Protocol[]
}

export interface PairedCpuEffects {
  /** Prints a line of progress. */
  report: (line: string) => void
}

/** Microseconds of CPU per request. */
export interface Cpu {
  /** Over all processes. */
  readonly mean: number
  /** The standard error of the mean, from the differences among the processes. */
  readonly error: number
}

export type CpuOf = (peer: Peer, protocol: Protocol) => Cpu

/** Enough for V8 to compile what matters: it keeps compiling for some 250,000 requests. */
const WARM_UP_LOADS = 12

/** Measures each process over all rounds. */
export async function pairedCpu(
  { world, peers, processes, rounds, duration, protocols }: PairedCpuOptions,
  { report }: PairedCpuEffects,
): Promise<CpuOf> {
  const subjects: Subject[] = []
  const sums = new Map<string, Sum[]>()
  try {
    for (let i = 0; i < processes; i += 1) {
      for (const peer of peers) {
        report(`warming up ${peer.name}, process ${i + 1} of ${processes}`)
        const subject = { peer, process: await startPeer(world, peer) }
        subjects.push(subject)
        for (let load = 0; load < WARM_UP_LOADS; load += 1) {
          for (const protocol of protocols) await loaded(subject, protocol)
        }
      }
    }
    for (let round = 0; round < rounds; round += 1) {
      report(`round ${round + 1} of ${rounds}: cpu, in turns`)
      for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
        for (const protocol of protocols) {
          const { seconds, requests } = await loaded(subject, protocol)
          const sum = sumOf(subject, protocol)
          sum.seconds += seconds
          sum.requests += requests
        }
      }
    }
  } finally {
    for (const { process } of subjects) await process.stop()
  }
  return (peer, protocol) => cpuOf(sums.get(keyOf(peer, protocol)) ?? [])

  function sumOf(subject: Subject, protocol: Protocol): Sum {
    const key = keyOf(subject.peer, protocol)
    const all = sums.get(key) ?? []
    sums.set(key, all)
    let sum = all.find(({ of }) => of === subject)
    if (sum === undefined) all.push((sum = { of: subject, seconds: 0, requests: 0 }))
    return sum
  }

  async function loaded(subject: Subject, protocol: Protocol) {
    const began = cpuSeconds(subject.process.pid)
    const requests = await saturate(protocol, target({ world }, subject, paths.pod), duration)
    return { seconds: cpuSeconds(subject.process.pid) - began, requests }
  }
}

interface Sum {
  readonly of: Subject
  seconds: number
  requests: number
}

function cpuOf(sums: readonly Sum[]): Cpu {
  const values = sums.map(({ seconds, requests }) => (seconds / requests) * 1e6)
  const count = values.length
  const mean = values.reduce((sum, value) => sum + value, 0) / count
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1)
  return { mean, error: Math.sqrt(variance / count) }
}

const keyOf = ({ name }: Peer, protocol: Protocol): string => `${name} ${protocol}`

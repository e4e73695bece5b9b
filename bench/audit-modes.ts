/** `--audit-modes`: what each mode of the audit log costs, and what a kill loses in it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { AuditMode } from '../src/audit/record.ts'
import { measureLoss, type Loss } from './audit-loss.ts'
import { pace, saturate, saturateWrites, type Target } from './load.ts'
import { startPeer, type Subject } from './measurement.ts'
import { gatehouse } from './peers/gatehouse.ts'
import type { Protocol } from './peers/peer.ts'
import { cpuSeconds } from './proc.ts'
import { formatTable } from './results.ts'
import { paths, type World } from './world.ts'

const MODES: readonly AuditMode[] = ['batch', 'blocking', 'blocking-strict']
/** Acknowledged writes before the kill, and how often each is tried. */
const KILLED_AFTER = [60, 400]
const KILLS = 3
/** Requests per second. */
const DEFAULT_RATE = 100

export interface AuditModesOptions {
  world: World
  rounds: number
  /** Of each load, in seconds. */
  duration: number
  /** Requests per second in the latency measurement. */
  rate?: number
  warmUp: number
  source?: true
}

interface AuditModesEffects {
  report: (line: string) => void
}

/** Yields a table of losses, then one of costs. */
export async function* auditModeTables(
  options: AuditModesOptions,
  effects: AuditModesEffects,
): AsyncGenerator<string> {
  await gatehouse(options.source === true).prepare()
  yield await lossTable(options, effects)
  yield await costTable(options, effects)
}

async function lossTable(
  { world, source }: AuditModesOptions,
  { report }: AuditModesEffects,
): Promise<string> {
  const rows: string[][] = []
  for (const mode of MODES) {
    for (const writes of KILLED_AFTER) {
      const losses: Loss[] = []
      for (let i = 0; i < KILLS; i += 1) {
        report(`${mode}: killing after ${writes} writes`)
        losses.push(await measureLoss(world, gatehouse(source === true, { mode }), writes))
      }
      const each = (show: (loss: Loss) => string): string => losses.map(show).join(', ')
      rows.push([
        `${mode}, ${writes} writes`,
        each((loss) => `${loss.acknowledgedWithoutEvent}/${loss.acknowledged}`),
        each((loss) => `${loss.carriedOutWithoutEvent}/${loss.carriedOut}`),
      ])
    }
  }
  return formatTable([['killed under load', 'lost/acknowledged', 'lost/carried out'], ...rows])
}

async function costTable(
  { world, rounds, duration, rate = DEFAULT_RATE, warmUp, source }: AuditModesOptions,
  { report }: AuditModesEffects,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-bench-'))
  const bodyFile = join(folder, 'review.json')
  await writeFile(bodyFile, '{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}')
  const subjects: Subject[] = []
  const samples = new Map<string, number[]>()
  const write = (subject: Subject, protocol: Protocol, seconds: number): Promise<number> =>
    saturateWrites(protocol, targetOf(world, subject, paths.review), { seconds, bodyFile })
  const loads = {
    'read h1': (subject: Subject) => saturate('h1', targetOf(world, subject, paths.pod), duration),
    'read h2': (subject: Subject) => saturate('h2', targetOf(world, subject, paths.pod), duration),
    'write h1': (subject: Subject) => write(subject, 'h1', duration),
    'write h2': (subject: Subject) => write(subject, 'h2', duration),
  }
  const add = (subject: Subject, what: string, value: number): void => {
    const key = `${subject.peer.name} ${what}`
    samples.set(key, [...(samples.get(key) ?? []), value])
  }
  try {
    for (const mode of MODES) {
      const peer = gatehouse(source === true, { mode })
      const subject = { peer, process: await startPeer(world, peer) }
      subjects.push(subject)
      report(`warming up ${peer.name}`)
      for (let sent = 0; sent < warmUp;) sent += await write(subject, 'h2', 2)
      for (let sent = 0; sent < warmUp;)
        sent += await saturate('h1', targetOf(world, subject, paths.pod), 2)
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const [what, load] of Object.entries(loads)) {
        for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
          report(`round ${round + 1} of ${rounds}: ${what}, ${subject.peer.name}`)
          const began = cpuSeconds(subject.process.pid)
          const requests = await load(subject)
          add(subject, what, ((cpuSeconds(subject.process.pid) - began) / requests) * 1e6)
        }
      }
      for (const subject of subjects) {
        const { p50, p99 } = await pace('h1', targetOf(world, subject, paths.pod), rate, duration)
        add(subject, 'p50', p50)
        add(subject, 'p99', p99)
      }
    }
  } finally {
    for (const { process } of subjects) await process.stop()
    await rm(folder, { recursive: true, force: true })
  }
  const columns = [...Object.keys(loads), 'p50', 'p99']
  const [base] = subjects
  const cell = ({ peer }: Subject, what: string): string => {
    const value = median(samples.get(`${peer.name} ${what}`))
    const ratio = value / median(samples.get(`${base?.peer.name ?? ''} ${what}`))
    return `${value.toFixed(0)} (${ratio.toFixed(2)})`
  }
  return (
    'CPU µs/req and latency of reads in µs (ratio to batch)\n' +
    formatTable([
      ['', ...columns],
      ...subjects.map((subject) => [
        subject.peer.name,
        ...columns.map((what) => cell(subject, what)),
      ]),
    ])
  )
}

function targetOf({ ca, issuer }: World, { process }: Subject, path: string): Target {
  return { url: process.url + path, caFile: ca.certFile, token: issuer.token }
}

function median(values: readonly number[] = []): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN
}

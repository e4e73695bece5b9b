/**
 * `--memory`: how much memory clients can make Gatehouse use within the shipped limits. Each scenario
 * runs against a new Gatehouse, with the heap limit that Node derives from the container's memory limit.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { parse, parseAllDocuments, stringify } from 'yaml'

import { configurationSchema } from '../../src/config/schema.ts'
import { writeConfiguration } from '../peers/gatehouse.ts'
import { residentKiB } from '../proc.ts'
import { startProcess } from '../processes.ts'
import { waitUntilReady } from '../ready.ts'
import { formatTable } from '../results.ts'
import { paths, type World } from '../world.ts'
import { apply } from './clients.ts'
import { scenarios, type Scenario } from './scenarios.ts'
import { startEndlessUpstream } from './upstream.ts'

const root = resolve(import.meta.dirname, '..', '..')
/** How long the load stays after the last connection was opened. */
const HOLD_MS = 3_000
const SAMPLE_MS = 25

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly resources: { readonly limits: { memory: string } }
        }[]
      }
    }
  }
}

async function manifest(file: string, kind: string, name: string): Promise<Manifest | undefined> {
  const text = await readFile(join(root, 'deploy/kubernetes', file), 'utf8')
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest)
    .find((each) => each.kind === kind && each.metadata.name === name)
}

/** The memory limit of the Deployment, in MiB, and the configuration in its ConfigMap. */
export async function shipped(): Promise<{ readonly limitMiB: number; readonly raw: object }> {
  const deployment = await manifest('30-deployment.yaml', 'Deployment', 'gatehouse')
  const config = await manifest('20-config.yaml', 'ConfigMap', 'gatehouse-config')
  const memory = deployment?.spec?.template.spec.containers[0]?.resources.limits.memory ?? ''
  const limitMiB = Number(/^(\d+)Mi$/.exec(memory)?.[1])
  if (!(limitMiB > 0)) throw new Error(`the memory limit ${memory} is not in Mi`)
  return { limitMiB, raw: parse(config?.data?.['gatehouse.yaml'] ?? '{}') as object }
}

/** Runs all scenarios and returns their table. */
export async function memoryTable(world: World, report: (line: string) => void): Promise<string> {
  const { limitMiB, raw } = await shipped()
  const limits = configurationSchema.parse({
    ...raw,
    upstream: { inCluster: true },
  })
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-bench-memory-'))
  const upstream = await startEndlessUpstream(world, directory)
  const rows: string[][] = []
  try {
    for (const scenario of scenarios(limits)) {
      report(scenario.name)
      const { before, peak } = await run(scenario, {
        world: { ...world, upstream: { ...world.upstream, url: upstream.url } },
        raw,
        heapMiB: limitMiB / 2,
      })
      rows.push([
        scenario.name,
        `${scenario.count}`,
        (before / 1_024).toFixed(0),
        (peak / 1_024).toFixed(0),
        ((peak - before) / 1_024).toFixed(0),
        `${((peak - before) / scenario.count).toFixed(0)} KiB/${scenario.of}`,
      ])
    }
  } finally {
    upstream.close()
    await rm(directory, { recursive: true, force: true })
  }
  const head = ['', 'number', 'before MiB', 'peak MiB', 'added MiB', 'each']
  return `memory limit of the Deployment: ${limitMiB} MiB\n${formatTable([head, ...rows])}`
}

interface Subject {
  readonly world: World
  /** gatehouse.yaml as shipped. */
  readonly raw: object
  readonly heapMiB: number
}

/** @returns resident KiB of Gatehouse before the load, and the most during it */
async function run(
  scenario: Scenario,
  { world, raw, heapMiB }: Subject,
): Promise<{ before: number; peak: number }> {
  const gatehouse = await startProcess('gatehouse', async (port, folder) => ({
    file: process.execPath,
    args: [
      `--max-old-space-size=${heapMiB}`,
      join(root, 'dist/main.js'),
      'serve',
      `--config=${await writeShipped(world, port, folder, raw)}`,
    ],
  }))
  try {
    const { token } = world.issuer
    const { certFile: caFile } = world.ca
    // The limits of an address count these connections as well.
    const probe = { url: gatehouse.url, path: paths.pod, caFile, token, interval: 200 }
    await Promise.race([waitUntilReady(probe), gatehouse.failed])
    await sleep(1_000)
    const before = residentKiB(gatehouse.pid)
    let peak = before
    const sampling = setInterval(() => {
      peak = Math.max(peak, residentKiB(gatehouse.pid))
    }, SAMPLE_MS)
    try {
      const target = { port: Number(new URL(gatehouse.url).port), token }
      const close = await Promise.race([apply(scenario.load, target), gatehouse.failed])
      await Promise.race([sleep(HOLD_MS), gatehouse.failed])
      close()
    } finally {
      clearInterval(sampling)
    }
    return { before, peak }
  } finally {
    await gatehouse.stop()
  }
}

/** The configuration of the other measurements, with the limits that are shipped. */
async function writeShipped(world: World, port: number, folder: string, raw: object) {
  const file = await writeConfiguration(world, port, folder)
  const ours = parse(await readFile(file, 'utf8')) as { listener: Record<string, unknown> }
  const shippedLimits = raw as {
    listener: { limits?: object; http2?: object }
    limits?: object
  }
  const { limits, http2 } = shippedLimits.listener
  const listener = { ...ours.listener, limits, http2 }
  await writeFile(file, stringify({ ...ours, listener, limits: shippedLimits.limits }))
  return file
}

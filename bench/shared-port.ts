/**
 * `--processes`: the same load on one process of Gatehouse, and on two that share a port
 * (`listener.reusePort`). Takes less than two minutes.
 */
import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

import { freePort, freePorts } from '../dev/parts/free-ports.ts'
import { saturate } from './load.ts'
import { gatehouse } from './peers/gatehouse.ts'
import type { Protocol } from './peers/peer.ts'
import { cpuSeconds } from './proc.ts'
import { startProcess, type RunningProcess } from './processes.ts'
import { waitUntilReady } from './ready.ts'
import { formatTable, medianOf } from './results.ts'
import { findTool } from './tools.ts'
import { paths, type World } from './world.ts'

const ROUNDS = 5
const SECONDS = 3
/** Per process and protocol. */
const WARM_UP_SECONDS = 6
/** A minute of attempts. */
const READY_INTERVAL_MS = 50
const READY_ATTEMPTS = 1_200

interface SharedPortOptions {
  world: World
  source: boolean
}

interface SharedPortEffects {
  report: (line: string) => void
}

/** The processes behind one port. */
interface Group {
  url: string
  processes: { process: RunningProcess; probesPort: number }[]
}

interface Sample {
  /** Requests per second. */
  rate: number
  /** CPU seconds of all processes per request. */
  cpuPerRequest: number
  /** Cores that all processes kept busy. */
  cores: number
  /** The share of the requests that the busiest process served. */
  share: number
}

/** One round. */
interface Pair {
  one: Sample
  two: Sample
}

const rows: readonly { what: string; value: (pair: Pair) => number }[] = [
  { what: 'requests per second, two / one', value: ({ one, two }) => two.rate / one.rate },
  {
    what: 'CPU per request, two / one',
    value: ({ one, two }) => two.cpuPerRequest / one.cpuPerRequest,
  },
  { what: 'cores used by one', value: ({ one }) => one.cores },
  { what: 'cores used by two', value: ({ two }) => two.cores },
  { what: 'share of the busier process of two', value: ({ two }) => two.share },
]

/** Returns the table of the ratios, with their range over the rounds. */
export async function sharedPortTable(
  { world, source }: SharedPortOptions,
  { report }: SharedPortEffects,
): Promise<string> {
  const protocols = await loadableProtocols()
  await gatehouse(source).prepare()
  const stops: (() => Promise<void>)[] = []
  try {
    const start = async (count: number): Promise<Group> => {
      report(`starting and warming up ${count === 1 ? 'one process' : 'two processes'}`)
      const group = await startGroup(world, { source, count }, (stop) => stops.push(stop))
      for (const protocol of protocols) {
        await saturate(protocol, podOf(world, group), WARM_UP_SECONDS * count)
      }
      return group
    }
    const [one, two] = [await start(1), await start(2)]
    const columns: string[][] = []
    for (const protocol of protocols) {
      const pairs: Pair[] = []
      for (let round = 0; round < ROUNDS; round += 1) {
        report(`round ${round + 1} of ${ROUNDS}: ${protocol}`)
        // Every other round runs backwards, so that neither is always first.
        const isForward = round % 2 === 0
        const earlier = await sample(world, isForward ? one : two, protocol)
        const later = await sample(world, isForward ? two : one, protocol)
        pairs.push(isForward ? { one: earlier, two: later } : { one: later, two: earlier })
      }
      columns.push(rows.map(({ value }) => spread(pairs.map(value))))
    }
    return formatTable([
      ['median (range)', ...protocols],
      ...rows.map(({ what }, i) => [what, ...columns.map((column) => column[i] ?? '')]),
    ])
  } finally {
    for (const stop of stops) await stop()
  }
}

/** Those whose load generator is installed. */
async function loadableProtocols(): Promise<Protocol[]> {
  const found: Protocol[] = []
  if ((await findTool('wrk')) !== undefined) found.push('h1')
  if ((await findTool('h2load')) !== undefined) found.push('h2')
  if (found.length > 0) return found
  throw new Error('missing wrk and h2load (Debian: apt-get install wrk nghttp2-client)')
}

async function startGroup(
  world: World,
  { source, count }: { source: boolean; count: number },
  onStarted: (stop: () => Promise<void>) => void,
): Promise<Group> {
  const port = await freePort()
  const processes: Group['processes'] = []
  for (const probesPort of await freePorts(count)) {
    const peer = gatehouse(source, { reusePort: true, probesPort })
    const process = await startProcess(
      peer.name,
      (ownPort, directory) => peer.command(world, ownPort, directory),
      { port },
    )
    onStarted(process.stop)
    await Promise.race([isReady(probesPort), process.failed])
    processes.push({ process, probesPort })
  }
  const url = `https://127.0.0.1:${port}`
  const { certFile: caFile } = world.ca
  await waitUntilReady({ url, path: paths.pod, caFile, token: world.issuer.token })
  return { url, processes }
}

/** Resolves when this process is ready. On the shared port, another one could respond. */
async function isReady(probesPort: number): Promise<void> {
  for (let attempt = 0; attempt < READY_ATTEMPTS; attempt += 1) {
    const { status } = await probe(probesPort, '/readyz').catch(() => ({ status: undefined }))
    if (status === 200) return
    await sleep(READY_INTERVAL_MS)
  }
  throw new Error('a process of Gatehouse did not get ready')
}

async function sample(world: World, group: Group, protocol: Protocol): Promise<Sample> {
  const before = await usage(group)
  const requests = await saturate(protocol, podOf(world, group), SECONDS)
  const after = await usage(group)
  const cpu = sum(after.map((each, i) => each.cpu - (before[i]?.cpu ?? 0)))
  const served = after.map((each, i) => each.served - (before[i]?.served ?? 0))
  return {
    rate: requests / SECONDS,
    cpuPerRequest: cpu / requests,
    cores: cpu / SECONDS,
    share: Math.max(...served) / sum(served),
  }
}

/** CPU seconds and requests so far, of each process. */
function usage({ processes }: Group): Promise<{ cpu: number; served: number }[]> {
  return Promise.all(
    processes.map(async ({ process, probesPort }) => ({
      cpu: cpuSeconds(process.pid),
      served: await requestsServed(probesPort),
    })),
  )
}

async function requestsServed(probesPort: number): Promise<number> {
  const { body } = await probe(probesPort, '/metrics')
  return sum(
    [...body.matchAll(/^gatehouse_requests_total\{.*\} (\d+)$/gm)].map((m) => Number(m[1])),
  )
}

function probe(port: number, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
    })
    outgoing.once('error', reject)
  })
}

function podOf({ ca, issuer }: World, { url }: Group) {
  return { url: url + paths.pod, caFile: ca.certFile, token: issuer.token }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** The median and the range. */
function spread(values: readonly number[]): string {
  const [median, least, most] = [
    medianOf(values) ?? NaN,
    Math.min(...values),
    Math.max(...values),
  ].map((value) => value.toFixed(2))
  return `${median} (${least} - ${most})`
}

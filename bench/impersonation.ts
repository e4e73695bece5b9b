/** `--impersonation`: how many requests a second `kubectl --as` takes if each needs reviews of its own. */
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { saturate, saturateAsOthers } from './load.ts'
import { startPeer } from './measurement.ts'
import { gatehouse } from './peers/gatehouse.ts'
import { cpuSeconds } from './proc.ts'
import { formatTable } from './results.ts'
import { paths, type World } from './world.ts'

/**
 * What client-go allows a client without settings of its own (rest.DefaultQPS and rest.DefaultBurst): the
 * peers review with such a client.
 */
const CLIENT_GO = { perSecond: 5, burst: 10 }
/** The goal, in requests a second that need a new review each. */
const GOAL = 1_000

export interface ImpersonationOptions {
  world: World
  rounds: number
  /** Of each load, in seconds. */
  duration: number
  warmUp: number
  source?: true
}

/** Runs the rounds; returns the table. */
export async function impersonationTable(
  { world, rounds, duration, warmUp, source }: ImpersonationOptions,
  { report }: { report: (line: string) => void },
): Promise<string> {
  const peer = gatehouse(source === true, { impersonation: true })
  await peer.prepare()
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-bench-'))
  const process = await startPeer(world, peer)
  const target = {
    url: process.url + paths.pod,
    caFile: world.ca.certFile,
    token: world.issuer.token,
  }
  const results: Round[] = []
  try {
    report('warming up')
    for (let sent = 0; sent < warmUp;) sent += await saturate('h1', target, 2)
    // From 0 on: a warm-up, too.
    for (let round = 0; round <= rounds; round += 1) {
      report(`round ${round} of ${rounds}`)
      const script = join(folder, `round-${round}.lua`)
      await writeFile(script, asOthers(`bench-${round}-`))
      const before = { reviews: await reviewsOf(world), cpu: cpuSeconds(process.pid) }
      const requests = await saturateAsOthers(target, { seconds: duration, script })
      const cpu = cpuSeconds(process.pid) - before.cpu
      const reviews = (await reviewsOf(world)) - before.reviews
      const plain = await saturate('h1', target, duration)
      if (round > 0) results.push({ requests, reviews, cpu, plain })
    }
  } finally {
    await process.stop()
    await rm(folder, { recursive: true, force: true })
  }
  return tableOf(results, duration)
}

interface Round {
  readonly requests: number
  readonly reviews: number
  /** Of Gatehouse, in seconds. */
  readonly cpu: number
  /** Requests without `--as` in the same time. */
  readonly plain: number
}

function tableOf(results: readonly Round[], duration: number): string {
  const rate = median(results.map(({ requests }) => requests / duration))
  const perRequest = median(results.map(({ requests, reviews }) => reviews / requests))
  const cpu = median(results.map((round) => (round.cpu / round.requests) * 1e6))
  // What the load and the upstream leave to Gatehouse differs from run to run.
  const perCore = 1e6 / cpu
  const ofPlain = median(results.map(({ requests, plain }) => (100 * requests) / plain))
  const throttled = median(
    results.map(({ reviews }) => (reviews - CLIENT_GO.burst) / CLIENT_GO.perSecond / duration),
  )
  const rows = [
    ['kubectl --as, each as another user', 'median'],
    ['requests per second', rate.toFixed(0)],
    ['in percent of the rate without --as', ofPlain.toFixed(0)],
    ['reviews per request', perRequest.toFixed(2)],
    ['CPU per request (µs)', cpu.toFixed(0)],
    ['requests per second that a core of Gatehouse serves', perCore.toFixed(0)],
    [
      `times as long with client-go's default throttle (${CLIENT_GO.perSecond}/s, burst ${CLIENT_GO.burst})`,
      throttled.toFixed(0),
    ],
    [`goal: at least ${GOAL} requests per second of a core`, perCore >= GOAL ? 'met' : 'MISSED'],
  ]
  return formatTable(rows)
}

/** A script for wrk that names another user in each request. */
function asOthers(prefix: string): string {
  return `local n = 0
request = function()
  n = n + 1
  wrk.headers["Impersonate-User"] = "${prefix}" .. n
  return wrk.format("GET")
end
`
}

/** How many SubjectAccessReviews the upstream has seen. */
async function reviewsOf({ upstream, ca, client }: World): Promise<number> {
  const [authority, cert, key] = await Promise.all(
    [ca.certFile, client.certFile, client.keyFile].map((file) => readFile(file, 'utf8')),
  )
  const url = `${upstream.url}/bench/accessreviews`
  const sent = request(url, { agent: false, ca: authority, cert, key }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return Number(await text(response))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN
}

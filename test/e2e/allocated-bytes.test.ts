/**
 * What a request allocates is what the garbage collector works off, and the one part of its cost that
 * does not depend on the machine. The limits are what was measured, and a little for what V8 does
 * not optimize in the same way each time. Lower them with the numbers.
 */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { Agent, request } from 'node:https'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { buffer, text } from 'node:stream/consumers'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { startProgram } from '../support/program.ts'

const root = resolve(import.meta.dirname, '../..')
const PATH = '/api/v1/namespaces/default/pods/web'
/** Until V8 has optimized what every request runs. */
const WARM_UP = 20_000
const MEASURED = 4_000
const CONCURRENT = 8

let api: ApiServer
let files: TestGatehouse
let token: string
const pod = JSON.stringify({
  kind: 'Pod',
  metadata: { annotations: { filler: 'x'.repeat(2_000) } },
})

beforeAll(async () => {
  api = await startApiServer()
  api.handler = (_request, response) => {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': String(pod.length),
      'cache-control': 'no-cache, private',
    })
    response.end(pod)
  }
  files = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: {
      limits: {
        address: { requestsPerSecond: 1_000_000, burst: 1_000_000 },
        user: { read: { requestsPerSecond: 1_000_000, burst: 1_000_000 } },
      },
    },
  })
  token = await files.token({ groups: ['engineers', 'oncall', 'platform', 'berlin', 'everybody'] })
  // Its files and its issuer are used by a process that does nothing else.
  await files.gatehouse.close(true)
})

afterAll(async () => {
  await files.close()
  await api.close()
})

type Get = () => Promise<void>

/** Starts Gatehouse by itself; returns its port, and the bytes it has allocated on the V8 heap so far. */
async function startCounting(): Promise<{ port: number; allocated: () => Promise<number> }> {
  const socket = files.file(`heap-${performance.now()}`)
  const program = startProgram(
    process.execPath,
    [
      // V8 optimizes after a number of calls, not when a thread has time for it.
      '--single-threaded',
      `--import=${join(root, 'bench/node/heap-statistics.ts')}`,
      join(root, 'src/main.ts'),
      ...['serve', '--config', files.file('gatehouse.yaml')],
    ],
    { cwd: root, env: { PATH: process.env['PATH'], GATEHOUSE_BENCH_HEAP: socket } },
  )
  const log = await program.until(/"port":(\d+),"probes"[^]*issuer keys loaded/)
  return {
    port: Number(/"port":(\d+),"probes"/.exec(log)?.[1]),
    allocated: async () => Number(await text(connect(socket))),
  }
}

async function bytesPerRequest(get: Get, allocated: () => Promise<number>): Promise<number> {
  await repeat(get, WARM_UP)
  const before = await allocated()
  await repeat(get, MEASURED)
  return ((await allocated()) - before) / MEASURED
}

async function repeat(get: Get, count: number): Promise<void> {
  let left = count
  const work = async (): Promise<void> => {
    while (left-- > 0) await get()
  }
  await Promise.all(Array.from({ length: CONCURRENT }, work))
}

test('a request over HTTP/1.1 allocates at most 27 kB', async () => {
  const { port, allocated } = await startCounting()
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENT })
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json' }
  const get: Get = async () => {
    const outgoing = request({ port, path: PATH, ca: files.ca, agent, headers }).end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(200)
    await buffer(response)
  }
  const bytes = await bytesPerRequest(get, allocated)
  agent.destroy()
  expect(bytes).toBeLessThanOrEqual(27_000)
})

test('a request over HTTP/2 allocates at most 29 kB', async () => {
  const { port, allocated } = await startCounting()
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: files.ca })
  const get: Get = async () => {
    const stream = session.request({
      ':path': PATH,
      authorization: `Bearer ${token}`,
      accept: 'application/json',
    })
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    expect(headers[':status']).toBe(200)
    await buffer(stream)
  }
  const bytes = await bytesPerRequest(get, allocated)
  session.destroy()
  expect(bytes).toBeLessThanOrEqual(29_000)
})

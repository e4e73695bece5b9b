/**
 * A Gatehouse that is killed under load: what the modes of the audit log promise about the events of
 * requests that were acknowledged, or carried out, just before.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { Agent, request } from 'node:https'
import { resolve } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'

import type { AuditMode } from '../../src/audit/record.ts'
import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import type { AuditEvent } from '../support/gatehouse.ts'
import { startProgram, type RunningProgram } from '../support/program.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
const PATH = '/api/v1/namespaces/default/configmaps'
const LANES = 8
const unlimited = { requestsPerSecond: 100_000, burst: 100_000 }

let attack: Attack
let runs = 0

beforeAll(async () => {
  attack = await startAttack({
    configuration: { limits: { address: unlimited, user: { write: unlimited } } },
  })
})

afterAll(() => attack.close())

interface Running {
  readonly program: RunningProgram
  readonly port: number
  /** The events that are in the file, by their Audit-ID. */
  readonly recorded: () => Promise<ReadonlyMap<string, readonly AuditEvent[]>>
}

/** Starts Gatehouse as a process of its own, with its own audit log. */
async function start(mode: AuditMode): Promise<Running> {
  const { gatehouse } = attack
  const name = `${mode}-${(runs += 1)}`
  const configuration = parse(await readFile(gatehouse.file('gatehouse.yaml'), 'utf8')) as object
  const audit = { mode, file: { path: `${name}.log` } }
  await writeFile(gatehouse.file(`${name}.yaml`), stringify({ ...configuration, audit }))
  const args = [MAIN, 'serve', `--config=${gatehouse.file(`${name}.yaml`)}`]
  const program = startProgram(process.execPath, args, { cwd: gatehouse.directory, env: {} })
  const output = await program.until(/"port":\d+.*"msg":"listening"/)
  const port = Number(/"port":(\d+)/.exec(output)?.[1])
  return {
    program,
    port,
    recorded: async () => {
      const lines = (await readFile(gatehouse.file(`${name}.log`), 'utf8')).split('\n')
      const events = lines.slice(0, -1).map((line) => JSON.parse(line) as AuditEvent)
      return Map.groupBy(events, ({ auditID }) => auditID)
    },
  }
}

/** Sends writes in parallel until the connections end; calls back with the Audit-ID of each head. */
type Load = (port: number, token: string, onHead: (auditID: string) => void) => Promise<void>

const overHttp1: Load = async (port, token, onHead) => {
  const agent = new Agent({ keepAlive: true, maxSockets: LANES, ca: attack.gatehouse.ca })
  const post = (): Promise<void> =>
    new Promise((done, fail) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const options = { host: '127.0.0.1', port, path: PATH, method: 'POST', agent, headers }
      const outgoing = request(options, (response) => {
        onHead(String(response.headers['audit-id']))
        response.resume().once('close', done)
      })
      outgoing.once('error', fail)
      outgoing.end('{}')
    })
  await inLanes(post)
  agent.destroy()
}

const overHttp2: Load = async (port, token, onHead) => {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: attack.gatehouse.ca })
  session.on('error', () => undefined)
  const post = (): Promise<void> =>
    new Promise((done, fail) => {
      const authorization = `Bearer ${token}`
      const stream = session.request({ ':method': 'POST', ':path': PATH, authorization })
      stream.once('response', (headers) => onHead(String(headers['audit-id'])))
      stream.once('error', fail)
      stream.resume().once('end', done)
      stream.end('{}')
    })
  await inLanes(post)
  session.destroy()
}

async function inLanes(post: () => Promise<void>): Promise<void> {
  const lane = async (): Promise<void> => {
    for (;;) await post()
  }
  await Promise.allSettled(Array.from({ length: LANES }, lane))
}

describe.for([
  { protocol: 'HTTP/1.1', load: overHttp1 },
  { protocol: 'HTTP/2', load: overHttp2 },
])('over $protocol', ({ load }) => {
  test.for(['blocking', 'blocking-strict'] as const)(
    'in mode %s every write that was acknowledged before a kill has an event',
    async (mode) => {
      for (const killAfter of [1, 40, 151]) {
        const { program, port, recorded } = await start(mode)
        const acknowledged: string[] = []
        // At once, while the event that a batch would write later is still in the process.
        await load(port, await attack.gatehouse.token(), (auditID) => {
          acknowledged.push(auditID)
          if (acknowledged.length === killAfter) void program.stop('SIGKILL')
        })
        await program.ended
        const events = await recorded()
        expect(acknowledged.length).toBeGreaterThanOrEqual(killAfter)
        expect(acknowledged.filter((auditID) => !events.has(auditID))).toEqual([])
      }
    },
  )

  test('in mode blocking-strict every write that reached the API server before a kill has an event', async () => {
    for (const killAfter of [1, 40, 151]) {
      const { program, port, recorded } = await start('blocking-strict')
      const before = attack.api.received.length
      let count = 0
      attack.api.handler = (incoming, response) => {
        if ((count += 1) === killAfter) void program.stop('SIGKILL')
        incoming
          .resume()
          .on('end', () => response.writeHead(201, {}))
          .on('end', () => response.end('{}'))
      }
      await load(port, await attack.gatehouse.token(), () => undefined)
      await program.ended
      attack.api.handler = undefined
      const events = await recorded()
      const carriedOut = attack.api.received.slice(before)
      expect(carriedOut.length).toBeGreaterThanOrEqual(killAfter)
      for (const each of carriedOut) {
        const [auditID = ''] = headerValues(each, 'audit-id')
        expect(events.get(auditID)?.[0]).toMatchObject({ stage: 'RequestReceived', verb: 'create' })
      }
    }
  })
})

/**
 * An unauthenticated client that tries to push events out of the audit log: whatever it sends beyond
 * the limit of its address, the log grows by a limited number of bytes, and reports how much was sent.
 */
import { readFile, stat } from 'node:fs/promises'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'
import type { AuditEvent } from '../support/gatehouse.ts'
import { headers } from '../support/http2-frames.ts'
import { readResponse } from '../support/raw.ts'

const ATTACKER = { localAddress: '127.0.0.2' }
const BURST = 20
/** The burst, ten refusals and one summary; an event of an unauthenticated client is below 2 kB. */
const MAX_BYTES = (BURST + 10 + 1) * 2_048

let attack: Attack

beforeEach(async () => {
  attack = await startAttack({
    configuration: {
      limits: {
        address: { requestsPerSecond: 0.001, burst: BURST },
        handshakes: { handshakesPerSecond: 10_000, burst: 10_000 },
      },
    },
  })
})

afterEach(() => attack.close())

const LONG = 'a'.repeat(6_000)
const REQUEST = `GET /${LONG} HTTP/1.1\r\nHost: x\r\nUser-Agent: ${LONG}\r\n\r\n`

const FLOODS: readonly (readonly [what: string, bytes: string])[] = [
  ['requests without a credential', REQUEST],
  ['requests for an object with a long name', REQUEST.replace('/a', '/api/v1/namespaces/d/pods/a')],
  ['targets that are refused', REQUEST.replace('/a', '/../%00')],
  ['malformed inputs', `${LONG}\r\n\r\n`],
  [
    'requests with two lengths',
    REQUEST.replace('\r\n\r\n', '\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'),
  ],
]

async function closeAndRead(): Promise<{ size: number; events: readonly AuditEvent[] }> {
  const file = attack.gatehouse.file('audit.log')
  await attack.gatehouse.gatehouse.close(true)
  const { size } = await stat(file)
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
  return { size, events: lines.map((line) => JSON.parse(line) as AuditEvent) }
}

function suppressed(events: readonly AuditEvent[]): readonly (readonly [string, number])[] {
  return events.flatMap(({ annotations, sourceIPs }) => {
    const count = annotations['gatehouse/suppressedEvents']
    return count === undefined ? [] : [[sourceIPs.join(), Number(count)] as const]
  })
}

test.for(FLOODS)('300 %s are all audited in a limited number of bytes', async ([, bytes]) => {
  for (let i = 0; i < 300; i++) {
    const connection = await attack.connect(ATTACKER)
    connection.write(bytes)
    await readResponse(connection)
    connection.destroy()
  }
  const { size, events } = await closeAndRead()
  expect(size).toBeLessThan(MAX_BYTES)
  const count = 300 - BURST - 10
  expect(suppressed(events)).toEqual([['127.0.0.2', count]])
  expect(events).toHaveLength(BURST + 10 + 1)
  expect(events.at(-1)?.responseStatus?.message).toMatch(
    new RegExp(
      `^${count} more refusals beyond the limit of 127\\.0\\.0\\.2: ${count} with 4\\d\\d$`,
    ),
  )
})

/** Right-to-left override: nine bytes in the target, six in the log. */
const HIDDEN = '%E2%80%AE'.repeat(100)
const UNSIGNED = [
  { alg: 'ES256', kid: LONG },
  { iss: `https://${LONG}`, aud: LONG },
]
  .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .join('.')

test.for([
  ['for an object by a field selector', `/api/v1/pods?fieldSelector=metadata.name%3D${LONG}`, ''],
  ['that consists of escapes', `/apis/${HIDDEN}/${HIDDEN}/namespaces${`/${HIDDEN}`.repeat(4)}`, ''],
  ['that consists of quotes', `/apis/%22/%22/namespaces/%22/p/${'%22'.repeat(2_000)}`, ''],
  ['with a token with long claims', '/api', `Authorization: Bearer ${UNSIGNED}.AAAA\r\n`],
] as const)(
  'the event of an unauthenticated request %s is below 2 kB',
  async ([, target, field]) => {
    const userAgent = '\u0085'.repeat(1_000)
    const connection = await attack.connect(ATTACKER)
    connection.write(
      `GET ${target} HTTP/1.1\r\nHost: x\r\nUser-Agent: ${userAgent}\r\n${field}\r\n`,
    )
    expect((await readResponse(connection)).status).toBe(401)
    connection.destroy()
    const { size, events } = await closeAndRead()
    expect(events).toHaveLength(1)
    expect(size).toBeLessThan(2_048)
  },
)

test('over HTTP/1.1 the connection is closed after the 429', async () => {
  const connection = await attack.connect(ATTACKER)
  for (let i = 0; i < BURST; i++) {
    connection.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    expect((await readResponse(connection)).status).toBe(401)
  }
  connection.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const { status, head } = await readResponse(connection)
  expect([status, /\r\nconnection: close\r\n/i.test(head)]).toEqual([429, true])
  expect((await connection.rest()).length).toBe(0)
})

test('over HTTP/2 the session is closed after the 429, and thousands of other streams are not processed', async () => {
  const connection = await attack.connectHttp2(ATTACKER)
  const fields = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', 'x'],
    [':path', `/${LONG}`],
  ] as const
  const end = connection.end()
  connection.send(...Array.from({ length: 5_000 }, (_, i) => headers(2 * i + 1, fields)))
  await end
  const { size, events } = await closeAndRead()
  expect(size).toBeLessThan(MAX_BYTES)
  const count = events.length + suppressed(events).reduce((sum, [, more]) => sum + more - 1, 0)
  expect(count).toBeLessThan(5_000)
})

test('other clients are served and audited meanwhile', async () => {
  for (let i = 0; i < BURST + 30; i++) {
    const connection = await attack.connect(ATTACKER)
    connection.write(REQUEST)
    await readResponse(connection)
    connection.destroy()
  }
  const { response } = await attack.send(
    `GET /version HTTP/1.1\r\nHost: x\r\nUser-Agent: ${LONG}\r\n${await attack.bearer()}Connection: close\r\n\r\n`,
  )
  expect(response.status).toBe(200)
  const { events } = await closeAndRead()
  const own = events.find(({ user }) => user.username === 'oidc:ada')
  expect(own).toMatchObject({ requestURI: '/version', responseStatus: { code: 200 } })
  expect(own?.userAgent).toHaveLength(1_024 + '...TRUNCATED'.length)
})

test('below the limit of its address, a client fills no more than its budget, and every request is counted', async () => {
  await attack.close()
  attack = await startAttack({
    configuration: { audit: { unauthenticated: { bytesPerSecond: 1, burstBytes: 65_536 } } },
  })
  for (let i = 0; i < 200; i++) {
    const one = await attack.connect(ATTACKER)
    one.write(i % 2 === 0 ? REQUEST : REQUEST.replace('/a', '/../%00'))
    await readResponse(one)
    one.destroy()
  }
  await attack.send(
    `GET /version HTTP/1.1\r\nHost: x\r\n${await attack.bearer()}Connection: close\r\n\r\n`,
  )
  const { size, events } = await closeAndRead()
  expect(size).toBeLessThan(65_536 / 4 + 2 * 2_048)
  const counts = suppressed(events)
  expect(counts).toHaveLength(1)
  expect(counts[0]?.[0]).toBe('127.0.0.2')
  expect(events.length - 2 + (counts[0]?.[1] ?? 0)).toBe(200)
  expect(events.filter(({ user }) => user.username === 'oidc:ada')).toHaveLength(1)
})

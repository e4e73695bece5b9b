/** Upstream failures are in the metric, in the log and in the audit event; other refusals are not. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { unauthorized } from '../../src/authentication/bearer.ts'
import { createLogThrottle } from '../../src/log-throttle.ts'
import { createMetrics } from '../../src/metrics.ts'
import { StatusError } from '../../src/status.ts'
import { UpstreamError } from '../../src/upstream/errors.ts'
import { createUpstreamFailures } from '../../src/upstream/failures.ts'
import { memoryLog } from '../audit/fixtures.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { startRawApiServer, type RawApiServer } from '../support/raw-api-server.ts'
import { readResponse, type RawResponse, type RawConnection } from '../support/raw.ts'

const POD = '/api/v1/namespaces/d/pods/web'
/** Requests that may wait. */
const QUEUE = 4

describe('an upstream failure', () => {
  let api: RawApiServer
  let attack: Attack

  beforeAll(async () => {
    api = await startRawApiServer()
  })
  beforeEach(async () => {
    api.script = () => undefined
    attack = await startAttack({
      api,
      configuration: {
        upstream: { connections: { maxConnections: 1 }, queue: { maxRequests: QUEUE } },
      },
    })
  })
  afterEach(() => attack.close())
  afterAll(() => api.close())

  async function send(path = POD): Promise<RawConnection> {
    const connection = await attack.connect()
    connection.write(`GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`)
    return connection
  }

  async function metric(line: string): Promise<number> {
    const text = await (await fetch(`${attack.gatehouse.probesUrl}/metrics`)).text()
    const found = text.split('\n').filter((each) => each.startsWith(line))
    return found.reduce((sum, each) => sum + Number(each.split(' ').at(-1)), 0)
  }

  const errors = (reason: string): Promise<number> =>
    metric(`gatehouse_upstream_errors_total{reason="${reason}"}`)

  const logged = (msg: string): unknown[] =>
    attack.gatehouse.log
      .map((line) => JSON.parse(line) as { msg: string })
      .filter((line) => line.msg === msg)

  test('of a request beyond the queue is a 503, counted and logged', async () => {
    // One more has the connection.
    for (let i = 0; i <= QUEUE; i += 1) await send()
    await expect.poll(() => metric('gatehouse_requests_waiting')).toBe(QUEUE)
    const answer: RawResponse = await readResponse(await send())
    expect(answer.status).toBe(503)
    expect(await errors('queue')).toBe(1)
    expect(logged('request to the API server failed')).toMatchObject([
      { reason: 'queue', err: { message: `${QUEUE} requests are waiting` } },
    ])
  })

  test.for([
    { status: 401, more: '', reason: 'credential' },
    { status: 407, more: '', reason: 'protocol' },
    { status: 302, more: 'Location: https://elsewhere.test/\r\n', reason: 'protocol' },
  ])(
    'of a response with status $status that is not forwarded is counted and logged',
    async (given) => {
      const { status, more, reason } = given
      api.script = ({ write }) => write(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n${more}\r\n`)
      expect(await readResponse(await send())).toMatchObject({ status: 502 })
      expect(await errors(reason)).toBe(1)
      expect(logged('request to the API server failed')).toMatchObject([{ reason }])
    },
  )

  test('of a truncated response is counted and logged, and its audit event has the cause', async () => {
    api.script = ({ socket }) => {
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half":')
    }
    const connection = await send()
    await connection.rest()
    const [event] = await attack.gatehouse.eventsWhere(({ requestURI }) => requestURI === POD)
    expect(event?.annotations).toMatchObject({
      'gatehouse/abortedBy': 'upstream',
      'gatehouse/cause': expect.stringMatching(/./) as string,
    })
    expect(await metric('gatehouse_upstream_errors_total')).toBe(1)
    expect(logged('the API server ended a response early')).toHaveLength(1)
  })
})

describe('the record of failures', () => {
  test.for([
    { name: 'a sign-in that was revoked before the response', error: unauthorized('revoked') },
    {
      name: 'a right that was revoked before the response',
      error: new StatusError('Forbidden', 'no'),
    },
    { name: 'the shutdown', error: new StatusError('ServiceUnavailable', 'shutting down') },
    { name: 'a client that stalled', error: new StatusError('Timeout', 'stopped reading') },
    { name: 'an invalid upgrade handshake', error: new StatusError('BadRequest', 'no') },
    { name: 'a malformed request body', error: new StatusError('BadRequest', 'malformed') },
    { name: 'a header that cannot be written', error: withCode('ERR_INVALID_CHAR') },
    {
      name: 'a repeated field that must be single',
      error: withCode('ERR_HTTP2_HEADER_SINGLE_VALUE'),
    },
    { name: 'a method that is not valid', error: withCode('ERR_INVALID_HTTP_TOKEN') },
  ])('does not include $name', async ({ error }) => {
    const { log, lines } = memoryLog()
    const metrics = createMetrics({ processMetrics: false })
    const failures = createUpstreamFailures({ log, metrics })
    failures.failed(error)
    failures.truncated(error)
    expect(lines).toEqual([])
    expect((await metrics.upstreamErrors.get()).values).toEqual([])
  })

  test('counts a thousand failures of one kind and logs twenty', async () => {
    const { log, lines } = memoryLog()
    const metrics = createMetrics({ processMetrics: false })
    const failures = createUpstreamFailures({ log, metrics, now: () => 0 })
    for (let i = 0; i < 1_000; i += 1)
      failures.failed(new UpstreamError('protocol', 'BadGateway', 'no'))
    failures.truncated(new Error('gone'))
    expect((await metrics.upstreamErrors.get()).values).toMatchObject([
      { labels: { reason: 'protocol' }, value: 1_000 },
      { labels: { reason: 'reset' }, value: 1 },
    ])
    expect(lines.map(({ msg }) => msg)).toEqual([
      ...Array.from({ length: 20 }, () => 'request to the API server failed'),
      'the API server ended a response early',
    ])
  })
})

function withCode(code: string): Error {
  return Object.assign(new Error(code), { code })
}

test('the log throttle reports how many lines of a kind were suppressed', () => {
  let now = 0
  const throttle = createLogThrottle({ interval: 1_000, lines: 2 }, { now: () => now })
  const first = ['a', 'a', 'a', 'b', 'a'].map(throttle)
  expect(first).toEqual([0, 0, undefined, 0, undefined])
  now = 1_000
  expect(['a', 'a', 'a', 'b'].map(throttle)).toEqual([2, 0, undefined, 0])
})

import { describe, expect, test } from 'vitest'

import { createMetrics } from '../../src/metrics.ts'
import { createFrame, type Handler } from '../../src/pipeline/frame.ts'
import { StatusError } from '../../src/status.ts'
import { memoryLog } from '../audit/fixtures.ts'
import { fakeAuditor, fakeExchange } from './fixtures.ts'

interface Setup {
  readonly admitAddress?: () => undefined | Promise<undefined>
  readonly auditor?: ReturnType<typeof fakeAuditor>['auditor']
}

function setup({ admitAddress = () => undefined, auditor }: Setup = {}) {
  const audit = fakeAuditor()
  const { log, lines } = memoryLog()
  const metrics = createMetrics({ processMetrics: false })
  const frame = createFrame(
    {
      stages: { limiter: { admitAddress }, auditor: auditor ?? audit.auditor },
      responseHeaders: ['Strict-Transport-Security', 'max-age=1'],
    },
    { log, metrics },
  )
  const requests = () => metrics.requests.take().map(({ labels, count }) => ({ ...labels, count }))
  return { frame, audit, lines, requests }
}

/** Answers 200 as a handler does. */
const answers200: Handler = async (exchange, _record, observed) => {
  observed.handler = 'kubernetes'
  observed.verb = 'list'
  observed.decision = 'allow'
  exchange.response.writeHead(200, [])
  exchange.response.end('{}')
  return { code: 200 }
}

const refuses =
  (error: unknown): Handler =>
  () => {
    throw error
  }

const headersOf = (headers: readonly string[]) =>
  new Map(
    Array.from({ length: headers.length / 2 }, (_, i) => [headers[i * 2], headers[i * 2 + 1]]),
  )

test('a request that is served is recorded once, with its bytes, and counted', async () => {
  const { frame, audit, requests } = setup()
  await frame.serve(fakeExchange(), answers200)
  expect(audit.opened).toBe(1)
  expect(audit.closed).toEqual([{ code: 200, bytesReceived: 0, bytesSent: 2 }])
  expect(requests()).toEqual([
    { handler: 'kubernetes', verb: 'list', code: '200', decision: 'allow', count: 1 },
  ])
})

describe('every way out closes the record exactly once', () => {
  const forbidden = new StatusError('Forbidden', 'no', { cause: new Error('a rule') })

  test('a refusal is written as a Status with the Audit-ID', async () => {
    const { frame, audit } = setup()
    const exchange = fakeExchange()
    await frame.serve(exchange, refuses(forbidden))
    expect(exchange.written.status).toBe(403)
    expect(JSON.parse(exchange.written.body)).toMatchObject({ kind: 'Status', message: 'no' })
    const headers = headersOf(exchange.written.headers)
    expect(headers.get('Strict-Transport-Security')).toBe('max-age=1')
    expect(headers.get('Audit-ID')).toBe('audit-id')
    expect(audit.closed).toMatchObject([{ code: 403, reason: 'Forbidden', cause: 'a rule' }])
  })

  test('an exception is a 500 that says nothing about its cause, and a panic', async () => {
    const { frame, audit, lines } = setup()
    const exchange = fakeExchange()
    await frame.serve(exchange, refuses(new Error('secret detail')))
    expect(exchange.written.status).toBe(500)
    expect(exchange.written.body).not.toContain('secret')
    expect(audit.closed).toMatchObject([{ code: 500, panic: true }])
    expect(lines).toMatchObject([{ level: 'error', auditID: 'audit-id' }])
  })

  test('a refusal behind a response head breaks the response off', async () => {
    const { frame, audit } = setup()
    const exchange = fakeExchange()
    await frame.serve(exchange, async ({ response }) => {
      response.writeHead(200, [])
      throw forbidden
    })
    expect(exchange.written).toMatchObject({ status: 200, body: '', destroyed: true })
    expect(audit.closed).toMatchObject([{ code: 403 }])
  })

  test('a refusal that cannot be written breaks the response off', async () => {
    const { frame, audit, lines } = setup()
    const exchange = fakeExchange()
    exchange.response.writeHead = () => {
      throw new Error('socket is gone')
    }
    await frame.serve(exchange, refuses(forbidden))
    expect(exchange.written.destroyed).toBe(true)
    expect(audit.closed).toMatchObject([{ code: 403 }])
    expect(lines).toMatchObject([{ level: 'error' }])
  })

  test('a handler decides about the bytes of a tunnel', async () => {
    const { frame, audit } = setup()
    const handled = { code: 101, bytesReceived: 7, bytesSent: 9, abortedBy: 'client' } as const
    await frame.serve(fakeExchange(), () => Promise.resolve(handled))
    expect(audit.closed).toEqual([handled])
  })
})

describe('an address beyond its limit', () => {
  const limited = () => {
    throw new StatusError('TooManyRequests', 'too many requests from this address')
  }

  test('is refused with an event of its own at first, and in a summary later', async () => {
    const { frame, audit } = setup({ admitAddress: limited })
    const statuses: (number | undefined)[] = []
    for (let i = 0; i < 25; i += 1) {
      const exchange = fakeExchange()
      await frame.serve(exchange, () => expect.fail('served'))
      statuses.push(exchange.written.status)
    }
    expect(new Set(statuses)).toEqual(new Set([429]))
    expect(audit.closed).toHaveLength(10)
    frame.close()
    expect(audit.closed.at(-1)).toMatchObject({ code: 429, suppressedEvents: 15 })
  })

  test('is refused by a limiter that takes time as well', async () => {
    const { frame } = setup({ admitAddress: () => Promise.resolve().then(limited) })
    const exchange = fakeExchange()
    await frame.serve(exchange, () => expect.fail('served'))
    expect(exchange.written.status).toBe(429)
  })
})

test('without a record nothing is served', async () => {
  const auditor = {
    ...fakeAuditor().auditor,
    open: () => {
      throw new StatusError('ServiceUnavailable', 'the audit log cannot be written')
    },
  }
  const { frame, requests } = setup({ auditor })
  const exchange = fakeExchange()
  await frame.serve(exchange, () => expect.fail('served'))
  expect(exchange.written.status).toBe(503)
  expect(headersOf(exchange.written.headers).has('Audit-ID')).toBe(false)
  expect(requests()).toMatchObject([{ code: '503', decision: 'none' }])
})

test('malformed input has one event, and nothing is written to it', async () => {
  const { frame, audit, requests } = setup()
  frame.recordMalformed(fakeExchange().request.connection, 400, 'not HTTP')
  await expect.poll(() => audit.closed).toHaveLength(1)
  expect(audit.closed).toMatchObject([{ code: 400, reason: 'BadRequest', message: 'not HTTP' }])
  expect(requests()).toMatchObject([{ verb: 'other', code: '400', decision: 'none' }])
})

import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { createAuditor } from '../../src/audit/auditor.ts'
import { addressKey } from '../../src/limits/address-key.ts'
import { createMetrics } from '../../src/metrics.ts'
import { ada, clientRequest, memoryLog, memorySink, resolved } from './fixtures.ts'

const DAY_MS = 86_400_000

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

function setup(bytesPerSecond = 512, burstBytes = 8_388_608) {
  const sink = memorySink()
  const clock = { now: 0 }
  const metrics = createMetrics({ processMetrics: false })
  const auditor = createAuditor(
    {
      sinks: [sink],
      onFailure: 'refuse',
      unauthenticated: { bytesPerSecond, burstBytes, addressKey },
    },
    { metrics, log: memoryLog().log, now: () => clock.now },
  )
  const refuse = (remoteAddress: string): void => {
    const connection = { ...clientRequest().connection, remoteAddress }
    const request = clientRequest({ rawTarget: `/${'a'.repeat(2_000)}`, connection })
    const failed = { code: 401, reason: 'Unauthorized', message: 'Unauthorized' }
    auditor.open(request, clock.now).close({ ...failed, bytesReceived: 0, bytesSent: 0 })
  }
  const advance = (ms: number): void => {
    clock.now += ms
    vi.advanceTimersByTime(ms)
  }
  const bytes = (): number => sink.lines.reduce((sum, line) => sum + line.length, 0)
  const counted = (): number =>
    sink.events.reduce(
      (sum, { annotations }) => sum + Number(annotations['gatehouse/suppressedEvents'] ?? 1),
      0,
    )
  return { sink, auditor, metrics, refuse, advance, bytes, counted }
}

test('one address that is refused for a day fills less than the 50 MB that a kubelet keeps, and every request is counted', async () => {
  const { auditor, refuse, advance, bytes, counted } = setup()
  const MINUTES = 24 * 60
  for (let minute = 0; minute < MINUTES; minute++) {
    for (let n = 0; n < 40; n++) refuse('192.0.2.7')
    advance(DAY_MS / MINUTES)
  }
  await auditor.close()
  // A quarter of the burst, half of the rate, and one summary a minute.
  expect(bytes()).toBeLessThan(8_388_608 / 4 + 86_400 * 256 + MINUTES * 1_024)
  expect(bytes()).toBeLessThan(50_000_000)
  expect(counted()).toBe(MINUTES * 40)
})

test('thousands of addresses share one budget and few summaries', async () => {
  const { auditor, sink, refuse, advance, bytes, counted } = setup(512, 65_536)
  for (let minute = 0; minute < 10; minute++) {
    for (let n = 0; n < 2_000; n++) refuse(`10.0.${n >> 8}.${n & 255}`)
    advance(60_000)
  }
  expect(bytes()).toBeLessThan(65_536 + 600 * 512 + 10 * 1_024)
  await auditor.close()
  expect(counted()).toBe(20_000)
  expect(sink.events.some(({ sourceIPs }) => sourceIPs.length === 0)).toBe(true)
})

test('an address beyond its part leaves events to another, and users are not counted', async () => {
  const { auditor, sink, metrics, refuse } = setup(1, 65_536)
  for (let n = 0; n < 1_000; n++) refuse('192.0.2.7')
  const written = sink.lines.length
  expect(written).toBeLessThan(65_536 / 4 / 700)
  refuse('192.0.2.8')
  expect(sink.lines).toHaveLength(written + 1)
  for (let n = 0; n < 200; n++) {
    const record = auditor.open(clientRequest(), 0)
    record.resolved(...resolved('GET', '/version'))
    record.authenticated(ada)
    record.close({ code: 403, bytesReceived: 0, bytesSent: 0 })
  }
  expect(sink.lines).toHaveLength(written + 201)
  await auditor.close()
  expect(sink.events.at(-1)).toMatchObject({
    sourceIPs: ['192.0.2.7'],
    responseStatus: {
      message: `${1_000 - written} more unauthenticated requests of 192.0.2.7 are beyond the budget of audit.unauthenticated: ${1_000 - written} with 401`,
    },
    annotations: { 'gatehouse/suppressedEvents': String(1_000 - written) },
  })
  expect(await metrics.registry.metrics()).toContain(
    `gatehouse_audit_events_total{sink="memory",result="summarized"} ${1_000 - written}`,
  )
})

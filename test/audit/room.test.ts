import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { createAuditor } from '../../src/audit/auditor.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { Auditor, AuditRecord, AuditSink } from '../../src/audit/record.ts'
import { createFileSink } from '../../src/audit/sinks/file.ts'
import type { Authentication } from '../../src/authentication/authenticator.ts'
import type { Decision } from '../../src/authorization/authorizer.ts'
import { createMetrics } from '../../src/metrics.ts'
import { StatusError } from '../../src/status.ts'
import { ada, clientRequest, memoryLog, memorySink, resolved } from './fixtures.ts'

const allow: Decision = { decision: 'allow', rule: 'all', reason: 'rule "all"', shadow: [] }
const groups = Array.from({ length: 600 }, (_, n) => `oidc:${String(n).padStart(90, '\u0085')}`)
const manager: Authentication = { ...ada, user: { ...ada.user, groups } }
const WATCH = `/api/v1/pods?watch=true&labelSelector=${'a'.repeat(4_000)}`

function auditorOf(sink: AuditSink): Auditor {
  const metrics = createMetrics({ processMetrics: false })
  return createAuditor({ sinks: [sink], onFailure: 'refuse' }, { metrics, log: memoryLog().log })
}

function start(auditor: Auditor, rawTarget: string, authentication: Authentication): AuditRecord {
  const record = auditor.open(clientRequest({ rawTarget }), performance.now())
  try {
    record.admitted()
    record.resolved(...resolved('GET', rawTarget))
    record.authenticated(authentication)
    record.decided(allow)
    record.responseStarted(200)
    return record
  } catch (error) {
    record.close({ code: 503, bytesReceived: 0, bytesSent: 0 })
    throw error
  }
}

const ended = {
  code: 200,
  abortedBy: 'gatehouse',
  cause: '\u0085'.repeat(1_024),
  bytesReceived: 0,
  bytesSent: 9,
} as const

test('500 watches of a user with large groups and 12,000 requests that end in one turn lose no event', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-audit-'))
  const path = join(folder, 'audit.log')
  const sizes = { maxSizeMegabytes: 1_000, maxBackups: 10, maxAgeDays: 1, compress: false }
  const auditor = auditorOf(createFileSink({ path, ...sizes }, { log: memoryLog().log }))
  const records = [
    ...Array.from({ length: 500 }, () => start(auditor, WATCH, manager)),
    ...Array.from({ length: 12_000 }, () => start(auditor, '/api/v1/namespaces/d/pods/web', ada)),
  ]
  for (const record of records) record.close(ended)
  await auditor.close()
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
  const final = lines.filter((line) => line.includes('"stage":"ResponseComplete"'))
  expect([final.length, lines.length - final.length]).toEqual([12_500, 500])
  await rm(folder, { recursive: true })
})

test('without room for the events of one more request it is refused, and all events of the others are written', () => {
  const sink = memorySink()
  let left = 200_000
  const limited: AuditSink = {
    ...sink,
    room: () => left,
    write(line) {
      const bytes = Buffer.byteLength(line)
      if (bytes > left) return false
      left -= bytes
      return sink.write(line)
    },
  }
  const auditor = auditorOf(limited)
  const records: AuditRecord[] = []
  const fill = (): void => {
    for (;;) records.push(start(auditor, WATCH, manager))
  }
  expect(fill).toThrow(StatusError)
  expect(fill).toThrow('the audit log cannot be written')
  expect(records.length).toBeGreaterThan(3)
  for (const record of records) record.close(ended)
  const final = sink.events.filter(({ stage }) => stage === 'ResponseComplete')
  expect(final.filter(({ responseStatus }) => responseStatus?.code === 200)).toHaveLength(
    records.length,
  )
})

test('room that was reserved is given back, whatever became of the request', () => {
  const sink = { ...memorySink(), room: () => 60_000 }
  const auditor = auditorOf(sink)
  for (let n = 0; n < 1_000; n++) {
    start(auditor, WATCH, ada).close(ended)
    auditor.open(clientRequest(), 0).close(ended)
    const denied = auditor.open(clientRequest({ rawTarget: WATCH }), 0)
    denied.resolved(...resolved('GET', WATCH))
    denied.authenticated(ada)
    denied.decided({ ...allow, decision: 'deny' })
    denied.close(ended)
    denied.close(ended)
  }
  expect(auditor.healthy()).toBeUndefined()
})

test('an event shows the groups and extras that fit, how many it omits, and a digest of the whole user', () => {
  const extra = { a: ['x'], b: ['y'.repeat(3_000)], token: ['secret'] }
  const eventOf = (authentication: Authentication): AuditEvent => {
    const sink = memorySink()
    start(auditorOf(sink), '/api', authentication).close({ ...ended, cause: '' })
    return sink.events[0]!
  }
  const large = { ...manager, user: { ...manager.user, extra } }
  const event = eventOf(large)
  expect(JSON.stringify(event).length).toBeLessThan(8_192)
  const shown = event.user.groups?.length ?? 0
  expect(event.user.groups).toEqual(groups.slice(0, shown))
  expect(event.user.extra).toEqual({ a: ['x'] })
  const omitted = event.annotations['gatehouse/omittedIdentity']
  expect(omitted).toMatch(
    new RegExp(`^${600 - shown} of 600 groups, 2 of 3 extras, sha256:[0-9a-f]{64}$`),
  )
  const renamed = { ...large.user, groups: [...groups.slice(0, -1), 'other'] }
  const other = eventOf({ ...large, user: renamed }).annotations
  expect(other['gatehouse/omittedIdentity']).not.toBe(omitted)
  expect(eventOf(ada).annotations).not.toHaveProperty('gatehouse/omittedIdentity')
})

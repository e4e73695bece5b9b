import { describe, expect, test } from 'vitest'

import { createAuditor } from '../../src/audit/auditor.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { AuditMode, Outcome } from '../../src/audit/record.ts'
import type { Decision } from '../../src/authorization/authorizer.ts'
import { createMetrics } from '../../src/metrics.ts'
import { StatusError } from '../../src/status.ts'
import { ada, auditorInto, clientRequest, memoryLog, memorySink, resolved } from './fixtures.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/

const ok: Outcome = { code: 200, bytesReceived: 0, bytesSent: 12 }
const allow: Decision = {
  decision: 'allow',
  rule: 'engineers-read',
  reason: 'rule "engineers-read"',
  shadow: [],
}

function setup(
  onFailure: 'refuse' | 'count' = 'refuse',
  sinks = [memorySink()],
  mode: AuditMode = 'batch',
) {
  const clock = { now: 1_000 }
  const metrics = createMetrics({ processMetrics: false })
  const { log, lines } = memoryLog()
  const auditor = createAuditor({ sinks, onFailure, mode }, { metrics, log, now: () => clock.now })
  const counts = async () => {
    const { values } = await metrics.auditEvents.get()
    return Object.fromEntries(
      values.map(({ labels, value }) => [`${labels.sink} ${labels.result}`, value]),
    )
  }
  return { auditor, clock, sinks, sink: sinks[0]!, counts, logLines: lines }
}

/** Records all stages of the pipeline for a request. */
function pass(auditor: ReturnType<typeof setup>['auditor'], method: string, rawTarget: string) {
  const record = auditor.open(clientRequest({ method, rawTarget }), 1_000)
  record.admitted()
  record.resolved(...resolved(method, rawTarget))
  record.authenticated(ada)
  record.admitted()
  record.decided(allow)
  record.identityAsserted('impersonation')
  return record
}

test('an allowed request yields one event with the fields of kube-apiserver, in its order', () => {
  const { auditor, clock, sink } = setup()
  const record = auditor.open(
    clientRequest({ rawTarget: '/apis/apps/v1/namespaces/team-a/deployments/web/scale' }),
    1_000,
  )
  clock.now += 0.001
  record.admitted()
  clock.now += 0.25
  record.resolved(...resolved('GET', '/apis/apps/v1/namespaces/team-a/deployments/web/scale'))
  clock.now += 1.5
  record.authenticated(ada)
  clock.now += 0.002
  record.admitted()
  record.decided(allow)
  record.identityAsserted('impersonation')
  clock.now += 10
  record.responseStarted(200)
  clock.now += 2
  record.close({ code: 200, bytesReceived: 3, bytesSent: 4_096 })

  expect(sink.lines).toHaveLength(1)
  const expected: AuditEvent = {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'Metadata',
    auditID: record.auditID,
    stage: 'ResponseComplete',
    requestURI: '/apis/apps/v1/namespaces/team-a/deployments/web/scale',
    verb: 'get',
    user: ada.user,
    sourceIPs: ['192.0.2.7'],
    userAgent: 'kubectl/v1.35.0 (linux/amd64)',
    objectRef: {
      resource: 'deployments',
      namespace: 'team-a',
      name: 'web',
      apiGroup: 'apps',
      apiVersion: 'v1',
      subresource: 'scale',
    },
    responseStatus: { metadata: {}, code: 200 },
    requestReceivedTimestamp: expect.stringMatching(MICRO_TIME) as string,
    stageTimestamp: expect.stringMatching(MICRO_TIME) as string,
    annotations: {
      'authentication.gatehouse/issuer': 'https://issuer.test',
      'gatehouse/method': 'oidc',
      'authorization.k8s.io/decision': 'allow',
      'authorization.k8s.io/reason': 'rule "engineers-read"',
      'gatehouse/rule': 'engineers-read',
      'gatehouse/identity': 'impersonation',
      'gatehouse/bytesReceived': '3',
      'gatehouse/bytesSent': '4096',
      'gatehouse/duration': '13.753ms',
      'latency.gatehouse/request': '0.250ms',
      'latency.gatehouse/limits': '0.003ms',
      'latency.gatehouse/authentication': '1.500ms',
      'latency.gatehouse/authorization': '0.000ms',
      'latency.gatehouse/upstream': '10.000ms',
    },
  }
  const [event] = sink.events
  expect(event).toEqual(expected)
  expect(Object.keys(event!)).toEqual(Object.keys(expected))
  expect(Object.keys(event!.annotations)).toEqual(Object.keys(expected.annotations))
  expect(record.auditID).toMatch(UUID)
  const [received, staged] = [event!.requestReceivedTimestamp, event!.stageTimestamp]
  const micros = (time: string) => Date.parse(time) * 1_000 + Number(time.slice(23, 26))
  expect(micros(staged) - micros(received)).toBe(13_753)
})

describe('the event of a refused request', () => {
  test('has the Status of a 401, and neither a user nor a decision', () => {
    const { auditor, sink } = setup()
    const record = auditor.open(clientRequest({ rawTarget: '/api/v1/pods' }), 1_000)
    record.resolved(...resolved('GET', '/api/v1/pods'))
    const message = 'Unauthorized'
    record.close({ code: 401, reason: 'Unauthorized', message, bytesReceived: 0, bytesSent: 9 })
    const [event] = sink.events
    expect(event).toMatchObject({ verb: 'list', objectRef: { resource: 'pods' } })
    expect(event!.user).toEqual({})
    expect(event!.responseStatus).toEqual({
      metadata: {},
      status: 'Failure',
      message,
      reason: 'Unauthorized',
      code: 401,
    })
    expect(Object.keys(event!.annotations)).not.toContain('authorization.k8s.io/decision')
  })

  test('has the user, the object and the rule of a 403', () => {
    const { auditor, sink } = setup()
    const record = auditor.open(clientRequest({ rawTarget: '/api/v1/nodes/a/proxy' }), 1_000)
    record.resolved(...resolved('GET', '/api/v1/nodes/a/proxy'))
    record.authenticated(ada)
    record.decided({ decision: 'deny', rule: 'no-proxy', reason: 'use port-forward', shadow: [] })
    record.close({ code: 403, reason: 'Forbidden', message: 'no', bytesReceived: 0, bytesSent: 1 })
    const [event] = sink.events
    expect(event!.user.username).toBe('oidc:ada')
    expect(event!.annotations).toMatchObject({
      'authorization.k8s.io/decision': 'forbid',
      'authorization.k8s.io/reason': 'use port-forward',
      'gatehouse/rule': 'no-proxy',
    })
    expect(event!.annotations).not.toHaveProperty('gatehouse/identity')
    expect(event!.annotations).not.toHaveProperty('latency.gatehouse/upstream')
  })

  test('says forbid and names no rule when no rule matched', () => {
    const { auditor, sink } = setup()
    const record = auditor.open(clientRequest(), 1_000)
    record.decided({ decision: 'noOpinion', rule: '', reason: '', shadow: [] })
    record.close({ code: 403, bytesReceived: 0, bytesSent: 0 })
    const [{ annotations } = { annotations: {} }] = sink.events
    expect(annotations).toHaveProperty(['authorization.k8s.io/decision'], 'forbid')
    expect(annotations).not.toHaveProperty(['authorization.k8s.io/reason'])
    expect(annotations).not.toHaveProperty(['gatehouse/rule'])
  })

  test('has the target as received and the method of a 400, and neither a verb nor an object', () => {
    const { auditor, sink } = setup()
    const record = auditor.open(
      clientRequest({ method: 'BREW', rawTarget: '/api/v1//pods' }),
      1_000,
    )
    record.close({ code: 400, reason: 'BadRequest', message: 'm', bytesReceived: 0, bytesSent: 0 })
    const [event] = sink.events
    expect(event).toMatchObject({ requestURI: '/api/v1//pods', verb: '', user: {} })
    expect(event).not.toHaveProperty('objectRef')
    expect(event!.annotations['gatehouse/httpMethod']).toBe('BREW')
  })

  test('exists for malformed input that was not a request', () => {
    const { auditor, sink } = setup()
    auditor
      .open(clientRequest({ method: '', rawTarget: '', rawHeaders: [] }), 1_000)
      .close({ code: 400, reason: 'BadRequest', message: 'm', bytesReceived: 0, bytesSent: 0 })
    const [event] = sink.events
    expect(event).toMatchObject({ requestURI: '', verb: '', sourceIPs: ['192.0.2.7'] })
    expect(event).not.toHaveProperty('userAgent')
    expect(event!.annotations).not.toHaveProperty('gatehouse/httpMethod')
  })

  test.for([
    ['the path', (name: string) => `/api/v1/namespaces/${name}/pods/${name}/${name}`],
    ['a field selector', (name: string) => `/api/v1/pods?fieldSelector=metadata.name%3D${name}`],
  ] as const)(
    'has a truncated name from %s when it is longer than any Kubernetes name',
    ([, target]) => {
      for (const [length, shown] of [
        [253, 'a'.repeat(253)],
        [254, `${'a'.repeat(253)}...TRUNCATED`],
        [10_000, `${'a'.repeat(253)}...TRUNCATED`],
      ] as const) {
        const { auditor, sink } = setup()
        const rawTarget = target('a'.repeat(length))
        const record = auditor.open(clientRequest({ rawTarget }), 1_000)
        record.resolved(...resolved('GET', rawTarget))
        record.authenticated(ada)
        record.close(ok)
        const { resource, apiVersion, ...names } = sink.events[0]!.objectRef!
        expect([resource, apiVersion]).toEqual(['pods', 'v1'])
        expect(names.name).toBe(shown)
        expect(new Set(Object.values(names))).toEqual(new Set([shown]))
      }
    },
  )

  test('has no objectRef for a non-resource request', () => {
    const { auditor, sink } = setup()
    pass(auditor, 'GET', '/version').close(ok)
    expect(sink.events[0]).toMatchObject({ verb: 'get', requestURI: '/version' })
    expect(sink.events[0]).not.toHaveProperty('objectRef')
  })

  test('has no source IP for a client that has disconnected', () => {
    const { auditor, sink } = setup()
    const { connection } = clientRequest()
    auditor
      .open(clientRequest({ connection: { ...connection, remoteAddress: '' } }), 1_000)
      .close(ok)
    expect(sink.events[0]!.sourceIPs).toEqual([])
  })
})

describe('the final event', () => {
  const endings: { name: string; outcome: Outcome; stage: string; annotations?: object }[] = [
    { name: 'got a response', outcome: ok, stage: 'ResponseComplete' },
    {
      name: 'the client aborted',
      outcome: { ...ok, code: 499, abortedBy: 'client' },
      stage: 'ResponseComplete',
      annotations: { 'gatehouse/abortedBy': 'client' },
    },
    {
      name: 'the API server aborted',
      outcome: { ...ok, abortedBy: 'upstream' },
      stage: 'ResponseComplete',
      annotations: { 'gatehouse/abortedBy': 'upstream' },
    },
    {
      name: 'was ended at shutdown',
      outcome: { ...ok, code: 101, abortedBy: 'gatehouse' },
      stage: 'ResponseComplete',
      annotations: { 'gatehouse/abortedBy': 'gatehouse' },
    },
    {
      name: 'was beyond a limit',
      outcome: { ...ok, code: 429, reason: 'TooManyRequests', message: 'slow down' },
      stage: 'ResponseComplete',
    },
    {
      name: 'failed unexpectedly',
      outcome: { ...ok, code: 500, reason: 'InternalError', message: 'oops', panic: true },
      stage: 'Panic',
    },
    {
      name: 'failed upstream',
      outcome: { ...ok, code: 502, reason: 'BadGateway', message: 'unreachable' },
      stage: 'ResponseComplete',
    },
  ]
  test.for(endings)(
    'is written once for a request that $name, whatever is called afterwards',
    (ending) => {
      const { auditor, sink } = setup()
      const record = pass(auditor, 'GET', '/api/v1/namespaces/team-a/pods')
      record.close(ending.outcome)
      record.close({ code: 200, bytesReceived: 1, bytesSent: 1 })
      record.responseStarted(200)
      expect(sink.events).toHaveLength(1)
      expect(sink.events[0]!.stage).toBe(ending.stage)
      expect(sink.events[0]!.responseStatus?.code).toBe(ending.outcome.code)
      expect(sink.events[0]!.annotations).toMatchObject(ending.annotations ?? {})
    },
  )

  test('has an Audit-ID that no other record has', () => {
    const { auditor } = setup()
    const ids = Array.from({ length: 100 }, () => auditor.open(clientRequest(), 1_000).auditID)
    expect(new Set(ids).size).toBe(100)
  })
})

describe('long-running requests', () => {
  const targets = [
    ['GET', '/api/v1/pods?watch=true', 'watch'],
    ['GET', '/api/v1/watch/namespaces/a/pods', 'watch'],
    ['GET', '/api/v1/namespaces/a/pods/p/exec?command=sh', 'get'],
    ['POST', '/api/v1/namespaces/a/pods/p/exec?command=sh', 'create'],
    ['POST', '/api/v1/namespaces/a/pods/p/attach', 'create'],
    ['POST', '/api/v1/namespaces/a/pods/p/portforward', 'create'],
    ['GET', '/api/v1/namespaces/a/pods/p/log?follow=true', 'get'],
    ['GET', '/api/v1/namespaces/a/services/s/proxy/x', 'get'],
    ['GET', '/debug/pprof/profile', 'get'],
  ] as const
  test.for(targets)(
    'leave an event when %s %s starts and one when it ends',
    ([method, target, verb]) => {
      const { auditor, clock, sink } = setup()
      const record = pass(auditor, method, target)
      clock.now += 5
      record.responseStarted(101)
      record.responseStarted(101)
      expect(sink.events).toHaveLength(1)
      const [started] = sink.events
      expect(started).toMatchObject({
        stage: 'ResponseStarted',
        verb,
        auditID: record.auditID,
        responseStatus: { code: 101 },
        annotations: { 'gatehouse/duration': '5.000ms', 'authorization.k8s.io/decision': 'allow' },
      })
      expect(started!.annotations).not.toHaveProperty(['gatehouse/bytesSent'])
      clock.now += 60_000
      record.close({ code: 101, bytesReceived: 5, bytesSent: 6 })
      expect(sink.events).toHaveLength(2)
      expect(sink.events[1]).toMatchObject({
        stage: 'ResponseComplete',
        auditID: record.auditID,
        requestReceivedTimestamp: started!.requestReceivedTimestamp,
        annotations: { 'gatehouse/duration': '60005.000ms', 'gatehouse/bytesSent': '6' },
      })
    },
  )

  test('leave only a final event when they are refused', () => {
    const { auditor, sink } = setup()
    pass(auditor, 'GET', '/api/v1/pods?watch=true').close({ ...ok, code: 403, reason: 'Forbidden' })
    expect(sink.events.map(({ stage }) => stage)).toEqual(['ResponseComplete'])
  })
})

describe('the cause of a refusal', () => {
  test.for([
    ['connect ECONNREFUSED', 'connect ECONNREFUSED'],
    ['', undefined],
    ['bad token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln', '[redacted]'],
    ['c'.repeat(2_000), `${'c'.repeat(1_024)}...TRUNCATED`],
  ] as const)('%s is written as %s', ([cause, written]) => {
    const { auditor, sink } = setup()
    pass(auditor, 'GET', '/version').close({ ...ok, code: 502, cause })
    expect(sink.events[0]!.annotations['gatehouse/cause']).toBe(written)
  })
})

test('rules in shadow mode are listed by the decision that they would have made', () => {
  const { auditor, sink } = setup()
  const record = pass(auditor, 'GET', '/version')
  record.decided({
    ...allow,
    shadow: [
      { rule: 'night', effect: 'deny' },
      { rule: 'interns', effect: 'allow' },
      { rule: 'weekend', effect: 'deny' },
    ],
  })
  record.close(ok)
  expect(sink.events[0]!.annotations).toMatchObject({
    'gatehouse/wouldDeny': 'night,weekend',
    'gatehouse/wouldAllow': 'interns',
  })
})

test('an event has no annotation for a shadow decision that no rule would have made', () => {
  const { auditor, sink } = setup()
  const record = pass(auditor, 'GET', '/version')
  record.decided({ ...allow, shadow: [{ rule: 'night', effect: 'deny' }] })
  record.close(ok)
  expect(sink.events[0]!.annotations).not.toHaveProperty(['gatehouse/wouldAllow'])
})

describe('when no sink can take a record', () => {
  test('onFailure: refuse answers 503 and fails readiness until a sink recovers', () => {
    const { auditor, sink } = setup('refuse')
    sink.broken = 'ENOSPC: no space left on device, write'
    let refusal: unknown
    try {
      auditor.open(clientRequest(), 1_000)
    } catch (error) {
      refusal = error
    }
    expect(refusal).toBeInstanceOf(StatusError)
    expect(refusal).toMatchObject({ reason: 'ServiceUnavailable', code: 503 })
    expect((refusal as StatusError).message).toMatch(/the audit log cannot be written/)
    expect((refusal as StatusError).message).not.toMatch(/ENOSPC/)
    expect(auditor.healthy()).toBe('memory: ENOSPC: no space left on device, write')
    sink.broken = undefined
    expect(auditor.healthy()).toBeUndefined()
    expect(() => auditor.open(clientRequest(), 1_000)).not.toThrow()
  })

  test('a record that was opened before still closes', () => {
    const { auditor, sink } = setup('refuse')
    const record = pass(auditor, 'GET', '/version')
    sink.broken = 'EIO'
    record.close(ok)
    expect(sink.events).toHaveLength(1)
  })

  test('onFailure: count serves requests, stays ready, counts lost events and logs them at intervals', async () => {
    const { auditor, clock, sink, counts, logLines } = setup('count')
    sink.broken = 'EIO: i/o error, write'
    sink.full = true
    for (let request = 0; request < 3; request++) pass(auditor, 'GET', '/version').close(ok)
    expect(auditor.healthy()).toBeUndefined()
    expect(await counts()).toEqual({ 'memory lost': 3, 'memory late': 0 })
    expect(logLines).toHaveLength(1)
    expect(logLines[0]).toMatchObject({
      level: 'error',
      msg: 'audit events are being lost',
      sink: 'memory',
      reason: 'EIO: i/o error, write',
    })
    clock.now += 5_000
    pass(auditor, 'GET', '/version').close(ok)
    expect(logLines).toHaveLength(2)
    expect(logLines[1]).toMatchObject({ lost: { memory: 4 } })
  })

  test('one of two sinks is sufficient, and events are lost only in the other', async () => {
    const broken = memorySink('file')
    const works = memorySink('stdout')
    broken.broken = 'ENOSPC'
    broken.full = true
    const { auditor, counts } = setup('refuse', [broken, works])
    pass(auditor, 'GET', '/version').close(ok)
    await auditor.close()
    expect(works.lines).toHaveLength(1)
    expect(auditor.healthy()).toBeUndefined()
    expect(await counts()).toEqual({
      'file lost': 1,
      'file late': 0,
      'stdout lost': 0,
      'stdout late': 0,
      'stdout written': 1,
    })
    works.broken = 'EPIPE'
    expect(auditor.healthy()).toBe('file: ENOSPC; stdout: EPIPE')
  })

  test('an auditor without a sink cannot be created', () => {
    expect(() => setup('refuse', [])).toThrow('the audit log has no sink')
  })
})

test('every sink gets the same lines, and written events are counted', async () => {
  const sinks = [memorySink('file'), memorySink('stdout')]
  const { auditor, counts } = setup('refuse', sinks)
  pass(auditor, 'GET', '/api/v1/pods?watch=1').responseStarted(200)
  pass(auditor, 'GET', '/version').close(ok)
  await auditor.close()
  expect(sinks[0]!.lines).toHaveLength(2)
  expect(sinks[1]!.lines).toEqual(sinks[0]!.lines)
  expect(await counts()).toEqual({
    'file lost': 0,
    'file late': 0,
    'file written': 2,
    'stdout lost': 0,
    'stdout late': 0,
    'stdout written': 2,
  })
})

test('timestamps have the wall-clock time by default', () => {
  const sink = memorySink()
  const auditor = auditorInto(sink)
  const before = Date.now()
  auditor.open(clientRequest(), performance.now()).close(ok)
  const received = Date.parse(sink.events[0]!.requestReceivedTimestamp)
  // The clock follows the wall clock to within 50 ms.
  expect(received).toBeGreaterThanOrEqual(before - 60)
  expect(received).toBeLessThanOrEqual(Date.now() + 60)
})

describe('the modes', () => {
  const stages = (sink: ReturnType<typeof memorySink>): string[] =>
    sink.events.map(({ stage }) => stage)

  /** Passes a request and its response; returns what had to be waited for at each event. */
  async function serve(mode: AuditMode, method: string, rawTarget: string) {
    const { auditor, sink } = setup('refuse', [memorySink()], mode)
    const record = pass(auditor, method, rawTarget)
    const waits: (boolean | undefined)[] = []
    record.forwarding()
    waits.push(await record.recorded)
    record.responseStarted(200)
    waits.push(await record.recorded)
    record.close(ok)
    waits.push(await record.recorded)
    return { stages: stages(sink), waits, events: sink.events }
  }

  test.for([
    ['GET', '/api/v1/pods'],
    ['POST', '/api/v1/namespaces/d/pods'],
  ])('batch writes one event for a short %s, and nothing waits', async ([method, target]) => {
    const { stages, waits } = await serve('batch', method!, target!)
    expect([stages, waits]).toEqual([['ResponseComplete'], [undefined, undefined, undefined]])
  })

  test.for([
    ['GET', '/api/v1/pods'],
    ['GET', '/api/v1/pods?watch=1'],
    ['POST', '/api/v1/namespaces/d/pods'],
  ])(
    'blocking records the start of the response to %s %s, which waits',
    async ([method, target]) => {
      const { stages, waits } = await serve('blocking', method!, target!)
      expect(stages).toEqual(['ResponseStarted', 'ResponseComplete'])
      expect(waits).toEqual([undefined, true, undefined])
    },
  )

  test.for([
    ['POST', '/api/v1/namespaces/d/pods'],
    ['PUT', '/api/v1/namespaces/d/pods/web'],
    ['PATCH', '/api/v1/namespaces/d/pods/web'],
    ['DELETE', '/api/v1/namespaces/d/pods/web'],
    ['DELETE', '/api/v1/namespaces/d/pods'],
    ['GET', '/api/v1/namespaces/d/pods/web/exec?command=sh'],
    ['GET', '/api/v1/namespaces/d/services/web/proxy/delete-all'],
    ['GET', '/api/v1/proxy/namespaces/d/pods/web'],
    ['POST', '/api/v1/namespaces/d/pods/web/log'],
    ['DELETE', '/api/v1/watch/namespaces/d/pods'],
    ['OPTIONS', '/api/v1/namespaces/d/pods'],
    ['POST', '/healthz'],
  ])('blocking-strict records %s %s before it is forwarded', async ([method, target]) => {
    const { stages, waits, events } = await serve('blocking-strict', method!, target!)
    expect(stages).toEqual(['RequestReceived', 'ResponseStarted', 'ResponseComplete'])
    expect(waits).toEqual([true, true, undefined])
    expect(events[0]).not.toHaveProperty('responseStatus')
    expect(events[0]).toMatchObject({
      user: { username: 'oidc:ada' },
      annotations: { 'authorization.k8s.io/decision': 'allow' },
    })
  })

  test.for([
    ['GET', '/api/v1/namespaces/d/pods/web'],
    ['GET', '/api/v1/pods?watch=1'],
    ['GET', '/api/v1/namespaces/d/pods/web/log'],
    ['HEAD', '/healthz'],
  ])('blocking-strict forwards %s %s without an event', async ([method, target]) => {
    const { stages, waits } = await serve('blocking-strict', method!, target!)
    expect([stages[0], waits[0]]).toEqual(['ResponseStarted', undefined])
  })

  test('a refusal waits for its final event', async () => {
    const { auditor, sink } = setup('refuse', [memorySink()], 'blocking')
    const record = auditor.open(clientRequest(), 1_000)
    record.close({ ...ok, code: 401 })
    expect(await record.recorded).toBe(true)
    expect(stages(sink)).toEqual(['ResponseComplete'])
  })

  const failing = (name: string, written = false) => ({
    ...memorySink(name),
    written: () => Promise.resolve(written),
  })

  test.for([
    { onFailure: 'refuse', written: [false], result: false },
    { onFailure: 'count', written: [false], result: true },
    { onFailure: 'refuse', written: [false, true], result: true },
    { onFailure: 'refuse', written: [false, false], result: false },
  ] as const)(
    'with onFailure: $onFailure and lines in sinks $written a response may be sent: $result',
    async ({ onFailure, written, result }) => {
      const sinks = written.map((isWritten, i) => failing(`sink ${i}`, isWritten))
      const { auditor, counts } = setup(onFailure, sinks, 'blocking')
      const record = pass(auditor, 'POST', '/api/v1/namespaces/d/pods')
      record.responseStarted(201)
      expect(await record.recorded).toBe(result)
      const late = Object.fromEntries(
        written.map((isWritten, i) => [`sink ${i} late`, isWritten ? 0 : 1]),
      )
      expect(await counts()).toMatchObject(late)
    },
  )

  test('a response waits for all sinks that have taken its event', async () => {
    const { promise, resolve: end } = Promise.withResolvers<boolean>()
    const sinks = [memorySink('file'), { ...memorySink('stdout'), written: () => promise }]
    const { auditor } = setup('refuse', sinks, 'blocking')
    const record = pass(auditor, 'POST', '/api/v1/namespaces/d/pods')
    record.responseStarted(201)
    let recorded: boolean | undefined
    void record.recorded?.then((value) => (recorded = value))
    await new Promise((resolve) => setImmediate(resolve))
    expect(recorded).toBeUndefined()
    end(true)
    expect(await record.recorded).toBe(true)
  })

  test('an event that no sink has taken is not recorded, whatever was written before', async () => {
    const { auditor, sink } = setup('refuse', [memorySink()], 'blocking')
    const record = pass(auditor, 'POST', '/api/v1/namespaces/d/pods')
    sink.full = true
    record.responseStarted(201)
    expect(await record.recorded).toBe(false)
  })
})

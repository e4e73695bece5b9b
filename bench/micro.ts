/** Measures each stage by itself, in a loop, with the request that the bench sends. */
import { hash, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { stringify } from 'yaml'

import { createAuditor } from '../src/audit/auditor.ts'
import type { Authentication } from '../src/authentication/authenticator.ts'
import { loadRules } from '../src/authorization/rules/load.ts'
import type { ClientRequest } from '../src/http/exchange.ts'
import { inspectHeaders } from '../src/http/inspect.ts'
import { rateLimitHeaders } from '../src/limits/headers.ts'
import { createMemoryLimiter } from '../src/limits/memory.ts'
import { createLog } from '../src/log.ts'
import { createMetrics } from '../src/metrics.ts'
import { resolveRequestInfo } from '../src/request/request-info.ts'
import { parseTarget } from '../src/request/target.ts'
import { upstreamHeaders } from '../src/upstream/headers.ts'
import { identityHeaders, IMPERSONATION } from '../src/upstream/identity.ts'
import { rules } from './peers/gatehouse-rules.ts'
import { paths } from './world.ts'

export interface Microbenchmark {
  what: string
  microseconds: number
}

const authentication: Authentication = {
  user: {
    username: 'oidc:ada@example.com',
    uid: '',
    groups: ['oidc:engineers', 'oidc:oncall', 'oidc:platform', 'system:authenticated'],
    extra: {},
  },
  method: 'oidc',
  annotations: { 'authentication.gatehouse/issuer': 'https://127.0.0.1:40000' },
}
const rawHeaders = [
  ...['Host', '127.0.0.1:40000', 'User-Agent', 'kubectl/v1.36.3 (linux/amd64) kubernetes/0123456'],
  ...['Accept', 'application/json', 'Accept-Encoding', 'gzip'],
  ...['Authorization', `Bearer ${'x'.repeat(700)}`],
]
const request: ClientRequest = {
  protocol: 'HTTP/1.1',
  method: 'GET',
  rawTarget: paths.pod,
  authority: '127.0.0.1:40000',
  rawHeaders,
  connection: {
    remoteAddress: '127.0.0.1',
    remotePort: 40_000,
    peerCertificate: undefined,
    retire: () => undefined,
  },
  isUpgrade: false,
  contentLength: undefined,
  hasBody: false,
}

/** Runs all microbenchmarks, which takes a few seconds. */
export async function microbenchmarks(): Promise<Microbenchmark[]> {
  const metrics = createMetrics({ processMetrics: false })
  const { user } = authentication
  const target = parseTarget('GET', paths.pod)
  const info = resolveRequestInfo('GET', target)
  const unlimited = { requestsPerSecond: 1e6, burst: 1e6 }
  const limiter = createMemoryLimiter(
    {
      address: unlimited,
      signIn: unlimited,
      groups: [],
      user: { read: unlimited, write: unlimited, list: unlimited, stream: unlimited },
      concurrent: { requests: 1_000, streams: 1_000 },
      maxTrackedKeys: 10_000,
    },
    { metrics },
  )
  const authorize = await compiledRules()
  const identity = identityHeaders(user, IMPERSONATION)
  const token = rawHeaders.at(-1) ?? ''
  const tokens = new Map([[hash('sha256', token, 'hex'), authentication]])
  const sink = {
    name: 'none',
    write: () => true,
    written: async () => true,
    failure: () => undefined,
    room: () => Infinity,
    flush: async () => undefined,
    close: async () => undefined,
  }
  const auditor = createAuditor(
    { sinks: [sink], onFailure: 'refuse' },
    { metrics, log: createLog({ level: 'silent' }) },
  )
  const decision = await authorize({ user, info })
  const labels = { handler: 'kubernetes', verb: 'get', code: '200', decision: 'allow' }
  return [
    time('request: target and RequestInfo', () =>
      resolveRequestInfo('GET', parseTarget('GET', paths.pod)),
    ),
    time('request: inspection of the headers', () => inspectHeaders(rawHeaders)),
    time('limits: address and user', () => {
      limiter.admitAddress('127.0.0.1')
      const slot = limiter.admitUser(user, 'read')
      slot.release()
      return slot.state === undefined ? [] : rateLimitHeaders(slot.state)
    }),
    time('authentication: token digest and cache lookup', () =>
      tokens.get(hash('sha256', token, 'hex')),
    ),
    time('authorization: 100 rules', () => authorize({ user, info })),
    time('upstream: headers with identity', () =>
      upstreamHeaders({
        rawHeaders,
        identity,
        identityNames: [],
        additionalNames: new Set(),
        authorization: undefined,
        host: '127.0.0.1:40000',
        auditID: '0f0e0d0c-0b0a-4908-8706-050403020100',
        forwardedFor: '127.0.0.1',
      }),
    ),
    time('audit: UUID', () => randomUUID()),
    time('audit: record and line', () => {
      const record = auditor.open(request, performance.now())
      record.resolved(target, info)
      record.authenticated(authentication)
      record.decided(decision)
      record.close({ code: 200, bytesReceived: 0, bytesSent: 2_048 })
      return record
    }),
    time('metrics: counter and histogram', () => {
      metrics.requests.inc(labels)
      metrics.requestDuration.observe({ class: 'read' }, 0.001)
    }),
  ]
}

async function compiledRules() {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-bench-rules-'))
  try {
    const file = join(directory, 'rules.yaml')
    await writeFile(file, stringify(rules()))
    return loadRules(file).authorize
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** The last result of a loop, exported so that the compiler cannot eliminate the work. */
export let kept: unknown

/** Returns the best of several loops, since a disturbance only adds time. */
function time(what: string, work: () => unknown): Microbenchmark {
  const iterations = 20_000
  let best = Infinity
  for (let i = 0; i < 12; i += 1) {
    const began = performance.now()
    for (let n = 0; n < iterations; n += 1) kept = work()
    best = Math.min(best, performance.now() - began)
  }
  return { what, microseconds: (best * 1_000) / iterations }
}

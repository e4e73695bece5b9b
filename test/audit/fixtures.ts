import { createAuditor } from '../../src/audit/auditor.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { Auditor, AuditSink } from '../../src/audit/record.ts'
import type { Authentication } from '../../src/authentication/authenticator.ts'
import type { ClientRequest } from '../../src/http/exchange.ts'
import { createLog, type Log } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { RequestInfo, Target } from '../../src/request/types.ts'

export interface MemorySink extends AuditSink {
  readonly lines: string[]
  readonly events: AuditEvent[]
  /** The result of `failure()`. */
  broken: string | undefined
  /** Whether `write` returns false. */
  full: boolean
}

/** A sink that collects its lines. */
export function memorySink(name = 'memory'): MemorySink {
  const lines: string[] = []
  return {
    name,
    lines,
    broken: undefined,
    full: false,
    get events() {
      return lines.map((line) => JSON.parse(line) as AuditEvent)
    },
    write(line) {
      if (this.full) return false
      lines.push(line)
      return true
    },
    written: () => Promise.resolve(true),
    failure() {
      return this.broken
    },
    room: () => Infinity,
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

/** A log that collects its lines. */
export function memoryLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) }
  return { log: createLog({ level: 'info', destination }), lines }
}

/** An auditor with one sink and the system clock, for tests that only check lines. */
export function auditorInto(sink: AuditSink): Auditor {
  return createAuditor(
    { sinks: [sink], onFailure: 'refuse' },
    { metrics: createMetrics({ processMetrics: false }), log: memoryLog().log },
  )
}

export function clientRequest(overrides: Partial<ClientRequest> = {}): ClientRequest {
  return {
    protocol: 'HTTP/1.1',
    method: 'GET',
    rawTarget: '/version',
    authority: 'gatehouse.test',
    rawHeaders: ['Host', 'gatehouse.test', 'User-Agent', 'kubectl/v1.35.0 (linux/amd64)'],
    connection: {
      remoteAddress: '192.0.2.7',
      remotePort: 40_000,
      peerCertificate: undefined,
      retire: () => undefined,
    },
    isUpgrade: false,
    contentLength: undefined,
    hasBody: false,
    ...overrides,
  }
}

/** The results of the request stage for a request line. */
export function resolved(method: string, rawTarget: string): [Target, RequestInfo] {
  const target = parseTarget(method, rawTarget)
  return [target, resolveRequestInfo(method, target)]
}

export const ada: Authentication = {
  user: {
    username: 'oidc:ada',
    uid: '17',
    groups: ['oidc:engineers', 'system:authenticated'],
    extra: { 'authentication.kubernetes.io/credential-id': ['JTI=5f2c'] },
  },
  method: 'oidc',
  annotations: { 'authentication.gatehouse/issuer': 'https://issuer.test' },
}

import type { Decision } from '../../src/authorization/authorizer.ts'
import type { AuditRecord, Auditor, Outcome } from '../../src/audit/record.ts'
import type { ClientRequest, Exchange, RawHeaders } from '../../src/http/exchange.ts'
import { clientRequest } from '../audit/fixtures.ts'

/** An exchange without a connection, and what was written to it. */
export interface FakeExchange extends Exchange {
  readonly written: {
    status: number | undefined
    headers: RawHeaders
    body: string
    destroyed: boolean
    recognized: number
  }
}

export function fakeExchange(overrides: Partial<ClientRequest> = {}): FakeExchange {
  const request = clientRequest({ rawTarget: '/api/v1/namespaces/default/pods', ...overrides })
  const written: FakeExchange['written'] = {
    ...{ status: undefined, headers: [], body: '', destroyed: false, recognized: 0 },
  }
  return {
    request,
    written,
    response: {
      get headersSent() {
        return written.status !== undefined
      },
      get bytesWritten() {
        return written.body.length
      },
      writeHead(status, headers) {
        written.status = status
        written.headers = headers
      },
      flushHead: () => undefined,
      write: () => undefined,
      end(chunk) {
        written.body += chunk?.toString() ?? ''
      },
      destroy() {
        written.destroyed = true
      },
    },
    header: (name) => {
      const at = request.rawHeaders.findIndex(
        (each, i) => i % 2 === 0 && each.toLowerCase() === name,
      )
      return at === -1 ? undefined : request.rawHeaders[at + 1]
    },
    receiveBody: () => undefined,
    pauseBody: () => undefined,
    resumeBody: () => undefined,
    recognized: () => void (written.recognized += 1),
    onAbort: () => undefined,
    onClose: () => undefined,
    takeSocket: () => {
      throw new Error('no upgrade')
    },
    bytesReceived: 0,
  }
}

/**
 * An auditor that notes the order of what its records are given, and how each was closed.
 *
 * @param recorded what forwarding has to wait for
 */
export function fakeAuditor(steps: string[] = [], recorded?: Promise<boolean>) {
  const closed: Outcome[] = []
  const decisions: Decision[] = []
  const step = (name: string) => () => void steps.push(name)
  let opened = 0
  const auditor: Auditor = {
    open(): AuditRecord {
      opened += 1
      return {
        auditID: 'audit-id',
        admitted: step('admitted'),
        servedHere: step('served here'),
        resolved: step('resolved'),
        authenticated: step('authenticated'),
        impersonated: step('impersonated'),
        issued: step('issued'),
        decided(decision) {
          steps.push('decided')
          decisions.push(decision)
        },
        forwarding: () => undefined,
        identityAsserted: step('identity asserted'),
        holdsResponse: false,
        responseStarted: step('response started'),
        close: (outcome) => void closed.push(outcome),
        recorded,
      }
    },
    healthy: () => undefined,
    close: () => Promise.resolve(),
  }
  return {
    auditor,
    closed,
    decisions,
    get opened() {
      return opened
    },
  }
}

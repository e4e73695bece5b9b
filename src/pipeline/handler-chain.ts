/**
 * The life of a request, top to bottom. Each stage returns what the next one takes; any of them may
 * refuse by throwing; the audit record is closed whatever happens. A stage is awaited only when it has
 * to wait: a turn of the microtask queue costs as much as some of the stages.
 */
import type { AuditRecord, Auditor } from '../audit/record.ts'
import type { Authenticator } from '../authentication/authenticator.ts'
import { unauthorized, webSocketToken } from '../authentication/bearer.ts'
import { admit, type Authorizer, type Decision } from '../authorization/authorizer.ts'
import type { ClientConnection, Exchange } from '../http/exchange.ts'
import { inspectHeaders } from '../http/inspect.ts'
import { asStatusError, causeOf, writeRefusal } from '../http/refusal.ts'
import { rateLimitHeaders } from '../limits/headers.ts'
import type { Limiter, Slot } from '../limits/limiter.ts'
import type { Log } from '../log.ts'
import { boundedVerb, type Metrics } from '../metrics.ts'
import { requestClass } from '../request/long-running.ts'
import { isQueryLong, resolveRequestInfo, resolveWithoutQuery } from '../request/request-info.ts'
import { parseTarget } from '../request/target.ts'
import type { RequestClass } from '../request/types.ts'
import { StatusError } from '../status.ts'
import type { Upstream } from '../upstream/forward.ts'
import type { ForwardOutcome } from '../upstream/outcome.ts'
import { createAddressGate } from './address-gate.ts'
import type { LiveRequests } from './live-requests.ts'
import { noRequest } from './malformed-request.ts'
import { refuseImpersonation, refuseOtherExpectations } from './unsupported.ts'

/** Read anew for every request: a reload swaps a member, and the next request sees it. */
export interface Stages {
  readonly auditor: Auditor
  readonly limiter: Limiter
  readonly authenticate: Authenticator
  readonly authorize: Authorizer
  readonly upstream: Upstream
}

export interface HandlerChainOptions {
  readonly stages: Stages
  readonly streams: LiveRequests
  /** Sent with every answer: HSTS. */
  readonly responseHeaders: readonly string[]
  readonly log: Log
  readonly metrics: Metrics
}

export interface HandlerChain {
  /** Never rejects. */
  handle(exchange: Exchange): Promise<void>
  /** Records what was no request (and has been answered). */
  recordMalformed(connection: ClientConnection, code: number, message: string): void
  /** Writes what was counted only of those beyond their limit; the auditor is still open. */
  close(): void
}

/** What the stages have found out so far; for the metrics and the log at the end. */
interface Progress {
  verb: string
  requestClass: RequestClass | undefined
  decision: Decision['decision'] | 'none'
}

/** Puts the stages in order; nothing runs before the first request. */
export function createHandlerChain(options: HandlerChainOptions): HandlerChain {
  const { stages, log, metrics } = options
  const gate = createAddressGate({ stages, log })

  async function handle(exchange: Exchange): Promise<void> {
    const receivedAt = performance.now()
    const progress: Progress = { verb: '', requestClass: undefined, decision: 'none' }
    let record: AuditRecord | undefined
    let code: number
    try {
      const admission = gate.admit(exchange.request.connection.remoteAddress)
      const over = admission instanceof Promise ? await admission : admission
      if (over !== undefined) {
        if (over.hasEvent) record = stages.auditor.open(exchange.request, receivedAt)
        throw over.refusal
      }
      record = stages.auditor.open(exchange.request, receivedAt)
      record.mark('limits')
      const outcome = await run(exchange, record, progress)
      code = outcome.code
      record.close({
        bytesReceived: exchange.bytesReceived,
        bytesSent: exchange.response.bytesWritten,
        ...outcome,
      })
    } catch (error) {
      code = refuse(exchange, record, error)
    }
    observe(progress, code, receivedAt)
  }

  async function run(
    exchange: Exchange,
    record: AuditRecord,
    progress: Progress,
  ): Promise<ForwardOutcome> {
    const { request } = exchange

    const target = parseTarget(request.method, request.rawTarget)
    const isLong = isQueryLong(target)
    const known = isLong
      ? resolveWithoutQuery(request.method, target)
      : resolveRequestInfo(request.method, target)
    record.resolved(target, known)
    progress.verb = known.verb
    const headers = inspectHeaders(request.rawHeaders)
    refuseOtherExpectations(exchange)
    record.mark('request')

    const answer = stages.authenticate({
      connection: request.connection,
      authorization: headers.authorization,
      webSocketToken: webSocketToken(headers.webSocketProtocols),
    })
    const recognised = answer instanceof Promise ? await answer : answer
    if (recognised === undefined) throw unauthorized('no credential')
    const authentication = recognised
    record.authenticated(authentication)
    exchange.recognised()
    record.mark('authentication')
    const info = isLong ? resolveRequestInfo(request.method, target) : known
    if (isLong) {
      record.resolved(target, info)
      progress.verb = info.verb
      record.mark('request')
    }
    const { user } = authentication
    refuseImpersonation(headers.impersonation)

    const classOf = requestClass(info)
    progress.requestClass = classOf
    const admission = stages.limiter.admitUser(user, classOf)
    const slot = admission instanceof Promise ? await admission : admission
    try {
      record.mark('limits')

      const admitted = admit({ user, info }, stages.authorize, (decision) => {
        progress.decision = decision.decision
        record.decided(decision)
        for (const { rule, effect } of decision.shadow)
          metrics.shadowDecisions.inc({ rule, effect })
      })
      const authorized = admitted instanceof Promise ? await admitted : admitted
      record.mark('authorization')
      record.identityAsserted(stages.upstream.identityMode)

      return await forward()

      async function forward(): Promise<ForwardOutcome> {
        let remove: ReturnType<LiveRequests['add']> | undefined
        const inFlight = { class: classOf }
        metrics.requestsInFlight.inc(inFlight)
        try {
          const outcome = await stages.upstream.forward({
            exchange,
            authorized,
            target,
            auditID: record.auditID,
            ownHeaders: ownHeaders(record, slot),
            onHead: (status) => {
              record.mark('upstream')
              record.responseStarted(status)
            },
            onCut: (cut) => {
              const { connection } = request
              const attributes = authorized
              remove = options.streams.add({ attributes, authentication, connection, cut })
            },
          })
          const cause = outcome.abortedBy === 'gatehouse' ? remove?.() : undefined
          return cause === undefined ? outcome : { ...outcome, cause }
        } finally {
          remove?.()
          metrics.requestsInFlight.dec(inFlight)
        }
      }
    } finally {
      slot.release()
    }
  }

  function ownHeaders(record: AuditRecord | undefined, slot?: Slot): string[] {
    const headers = [...options.responseHeaders]
    if (record !== undefined) headers.push('Audit-ID', record.auditID)
    if (slot?.state !== undefined) headers.push(...rateLimitHeaders(slot.state))
    return headers
  }

  /** Answers, if nothing has been, and closes the record; returns the code for the metrics. */
  function refuse(exchange: Exchange, record: AuditRecord | undefined, error: unknown): number {
    const refusal = asStatusError(error)
    const panic = !(error instanceof StatusError)
    if (panic) log.error({ err: error, auditID: record?.auditID }, 'a request failed unexpectedly')
    try {
      if (exchange.response.headersSent) exchange.response.destroy()
      else writeRefusal(exchange, refusal, ownHeaders(record))
    } catch (writeError) {
      log.error({ err: writeError, auditID: record?.auditID }, 'a refusal could not be written')
      exchange.response.destroy()
    }
    record?.close({
      code: refusal.code,
      reason: refusal.reason,
      message: refusal.message,
      ...(refusal.cause instanceof Error ? { cause: causeOf(refusal.cause) } : {}),
      bytesReceived: exchange.bytesReceived,
      bytesSent: exchange.response.bytesWritten,
      ...(panic ? { panic } : {}),
    })
    return refusal.code
  }

  function observe(progress: Progress, code: number, receivedAt: number): void {
    const { verb, requestClass, decision } = progress
    metrics.requests.inc({ verb: boundedVerb(verb), code: String(code), decision })
    if (requestClass !== undefined && requestClass !== 'stream') {
      const seconds = (performance.now() - receivedAt) / 1_000
      metrics.requestDuration.observe({ class: requestClass }, seconds)
    }
  }

  async function malformed(
    connection: ClientConnection,
    code: number,
    message: string,
  ): Promise<void> {
    const receivedAt = performance.now()
    try {
      const over = await gate.admit(connection.remoteAddress, code)
      if (over?.hasEvent !== false) {
        const reason = code === 431 ? 'RequestHeaderFieldsTooLarge' : 'BadRequest'
        const record = stages.auditor.open(noRequest(connection), receivedAt)
        record.close({ code, reason, message, bytesReceived: 0, bytesSent: 0 })
      }
    } catch (error) {
      log.warn({ err: error }, 'malformed bytes could not be recorded')
    }
    metrics.requests.inc({ verb: boundedVerb(''), code: String(code), decision: 'none' })
  }

  return {
    handle,
    recordMalformed: (connection, code, message) => void malformed(connection, code, message),
    close: () => gate.close(),
  }
}

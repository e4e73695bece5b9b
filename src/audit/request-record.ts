import { randomUUID } from 'node:crypto'

import type { Authentication } from '../authentication/authenticator.ts'
import type { Decision } from '../authorization/authorizer.ts'
import type { ClientRequest } from '../http/exchange.ts'
import { isLongRunning } from '../request/long-running.ts'
import type { RequestInfo, Target } from '../request/types.ts'
import type { WallClock } from './clock.ts'
import { eventLine } from './event-line.ts'
import type { Latencies, RecordFacts, StageFacts } from './facts.ts'
import type { AuditRecord, Outcome, PipelineStage } from './record.ts'
import { userAgentOf } from './redaction.ts'

/** Shared by the records of one auditor. */
export interface RecordContext {
  /** Milliseconds, monotonic. */
  readonly now: () => number
  readonly clock: WallClock
  /** Writes a line to the sinks; never throws. */
  readonly emit: (line: string) => void
}

/**
 * The record of one request. It keeps only what the events contain, never the request headers, so that
 * a watch that runs for a day does not hold a credential in memory for a day.
 */
export class RequestRecord implements AuditRecord, RecordFacts {
  readonly auditID = randomUUID()
  readonly receivedAt: number
  readonly method: string
  readonly rawTarget: string
  readonly remoteAddress: string
  readonly userAgent: string | undefined
  target: Target | undefined = undefined
  info: RequestInfo | undefined = undefined
  authentication: Authentication | undefined = undefined
  decision: Decision | undefined = undefined
  identityMode: string | undefined = undefined
  readonly latencies: Latencies = {
    request: undefined,
    limits: undefined,
    authentication: undefined,
    authorization: undefined,
    upstream: undefined,
  }

  readonly #context: RecordContext
  readonly #start: number
  #lastMark: number
  #started = false
  #closed = false

  /** @param receivedAt monotonic milliseconds */
  constructor(context: RecordContext, request: ClientRequest, receivedAt: number) {
    this.#context = context
    this.#start = receivedAt
    this.#lastMark = receivedAt
    this.receivedAt = context.clock.microsecondsAt(receivedAt)
    this.method = request.method
    this.rawTarget = request.rawTarget
    this.remoteAddress = request.connection.remoteAddress
    this.userAgent = userAgentOf(request.rawHeaders)
  }

  admitted(): void {
    this.#endStage('limits')
  }

  resolved(target: Target, info: RequestInfo): void {
    this.target = target
    this.info = info
    this.#endStage('request')
  }

  authenticated(authentication: Authentication): void {
    this.authentication = authentication
    this.#endStage('authentication')
  }

  decided(decision: Decision): void {
    this.decision = decision
    this.#endStage('authorization')
  }

  identityAsserted(mode: string): void {
    this.identityMode = mode
  }

  responseStarted(code: number): void {
    this.#endStage('upstream')
    if (this.#closed || this.#started) return
    if (this.info === undefined || !isLongRunning(this.info)) return
    this.#started = true
    this.#emit('ResponseStarted', code, undefined)
  }

  close(outcome: Outcome): void {
    if (this.#closed) return
    this.#closed = true
    this.#emit(outcome.panic === true ? 'Panic' : 'ResponseComplete', outcome.code, outcome)
  }

  #endStage(stage: PipelineStage): void {
    const now = this.#context.now()
    this.latencies[stage] = (this.latencies[stage] ?? 0) + (now - this.#lastMark)
    this.#lastMark = now
  }

  #emit(stage: StageFacts['stage'], code: number, outcome: Outcome | undefined): void {
    const now = this.#context.now()
    const at = this.#context.clock.microsecondsAt(now)
    this.#context.emit(eventLine(this, { stage, at, duration: now - this.#start, code, outcome }))
  }
}

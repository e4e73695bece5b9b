import { randomUUID } from 'node:crypto'

import type { Authentication } from '../authentication/authenticator.ts'
import type { Decision } from '../authorization/authorizer.ts'
import type { ClientRequest } from '../http/exchange.ts'
import { isLongRunning, isReadOnly } from '../request/long-running.ts'
import type { RequestInfo, Target } from '../request/types.ts'
import { decisionBytes, issuedBytes } from './annotations.ts'
import type { WallClock } from './clock.ts'
import { eventLine } from './event-line.ts'
import type { Latencies, RecordFacts, StageFacts } from './facts.ts'
import { identityBytes, impersonationBytes } from './identity.ts'
import type {
  AuditMode,
  AuditRecord,
  ImpersonatedFacts,
  IssuedFacts,
  Outcome,
  PipelineStage,
} from './record.ts'
import { MAX_URI_LENGTH, MAX_USER_AGENT_LENGTH, userAgentOf } from './redaction.ts'
import { MAX_UNIT_BYTES, truncateJson } from './truncate-json.ts'

/** Bytes of a message or a cause in a shortened event. */
const SHORT_TEXT_BYTES = 256

const MAX_VERB_LENGTH = 32

/** Shared by the records of one auditor. */
export interface RecordContext {
  /** Milliseconds, monotonic. */
  readonly now: () => number
  readonly clock: WallClock
  readonly mode: AuditMode
  /**
   * Writes a line to the sinks; never throws.
   *
   * @param shorter the line without long texts, which the record has room for in any case
   * @param isAwaited whether something waits until the line is in the kernel
   * @returns undefined unless `isAwaited`; false: it is not in the kernel, and `onFailure` is `refuse`
   */
  readonly emit: (
    line: string,
    shorter: () => string,
    isAwaited: boolean,
  ) => Promise<boolean> | undefined
  /**
   * Reserves room for a later event.
   *
   * @throws StatusError 503 when there is none and `onFailure` is `refuse`
   */
  readonly reserve: (bytes: number) => void
  /** Whether the budget of unauthenticated clients allows an event of this length. */
  readonly admitUnauthenticated: (address: string, bytes: number, outcome: Outcome) => boolean
  /** Gives room back. */
  readonly release: (bytes: number) => void
}

/** The most that a shortened event of an unauthenticated client takes, and any event without its texts. */
export const UNAUTHENTICATED_EVENT_BYTES = 3_072

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
  ownVerb: string | undefined = undefined
  authentication: Authentication | undefined = undefined
  impersonation: ImpersonatedFacts | undefined = undefined
  certificate: IssuedFacts | undefined = undefined
  decision: Decision | undefined = undefined
  identityMode: string | undefined = undefined
  recorded: Promise<boolean> | undefined = undefined
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
  /** The most that one shortened event of this record takes. */
  #eventBytes = 0
  /** How many events are still to come. */
  #eventsLeft = 1

  /** @param receivedAt monotonic milliseconds */
  constructor(context: RecordContext, request: ClientRequest, receivedAt: number) {
    this.#context = context
    this.#reserve(UNAUTHENTICATED_EVENT_BYTES)
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

  servedHere(verb = this.method.toLowerCase()): void {
    const expected = this.#recordsReception
    // A client may invent methods.
    this.ownVerb = verb.slice(0, MAX_VERB_LENGTH)
    if (this.#recordsReception && !expected) this.#expectEvent()
  }

  resolved(target: Target, info: RequestInfo): void {
    this.target = target
    this.info = info
    this.#endStage('request')
  }

  authenticated(authentication: Authentication): void {
    this.#reserve(this.#bytesOf(authentication))
    this.authentication = authentication
    this.#endStage('authentication')
  }

  impersonated(acting: ImpersonatedFacts): void {
    this.#reserve(impersonationBytes(acting))
    this.impersonation = acting
  }

  issued(certificate: IssuedFacts): void {
    this.#reserve(issuedBytes(certificate))
    this.certificate = certificate
  }

  decided(decision: Decision): void {
    this.#reserve(decisionBytes(decision))
    if (this.decision === undefined) {
      if (this.#mayRecordStart) this.#expectEvent()
      if (this.#recordsReception) this.#expectEvent()
    }
    this.decision = decision
    this.#endStage('authorization')
  }

  forwarding(): void {
    if (this.#recordsReception) this.#emit('RequestReceived', undefined, undefined, true)
  }

  identityAsserted(mode: string): void {
    this.identityMode = mode
  }

  get holdsResponse(): boolean {
    return this.#context.mode !== 'batch'
  }

  responseStarted(code: number): void {
    this.#endStage('upstream')
    if (this.#closed || this.#started || !this.#mayRecordStart) return
    this.#started = true
    this.#emit('ResponseStarted', code, undefined, this.holdsResponse)
  }

  close(outcome: Outcome): void {
    if (this.#closed) return
    this.#closed = true
    // Events that did not come, because no response started, leave their room to others.
    this.#context.release(this.#eventBytes * (this.#eventsLeft - 1))
    this.#eventsLeft = 1
    const stage = outcome.panic === true ? 'Panic' : 'ResponseComplete'
    // A refusal may follow the start of a response that is still withheld.
    const isToSend = !this.#started || outcome.reason !== undefined
    this.#emit(stage, outcome.code, outcome, this.holdsResponse && isToSend)
  }

  /** Whether a response that starts has an event of its own. */
  get #mayRecordStart(): boolean {
    return this.info !== undefined && (this.holdsResponse || isLongRunning(this.info))
  }

  /** Whether the request has an event before it is forwarded. */
  get #recordsReception(): boolean {
    if (this.#context.mode !== 'blocking-strict') return false
    if (this.info !== undefined) return !isReadOnly(this.method, this.info)
    return this.ownVerb !== undefined && this.ownVerb !== 'get' && this.ownVerb !== 'head'
  }

  /** Reserves room for this many bytes in each event to come. */
  #reserve(bytes: number): void {
    this.#context.reserve(bytes * this.#eventsLeft)
    this.#eventBytes += bytes
  }

  /** Reserves room for one more event. */
  #expectEvent(): void {
    this.#context.reserve(this.#eventBytes)
    this.#eventsLeft += 1
  }

  /** What is only in the events of a user, at most. The path is in `requestURI` and in `objectRef`. */
  #bytesOf(authentication: Authentication): number {
    return (
      identityBytes(authentication) +
      2 * jsonBytes(this.rawTarget, MAX_URI_LENGTH) +
      (this.userAgent === undefined ? 0 : jsonBytes(this.userAgent, MAX_USER_AGENT_LENGTH))
    )
  }

  #endStage(stage: PipelineStage): void {
    const now = this.#context.now()
    this.latencies[stage] = (this.latencies[stage] ?? 0) + (now - this.#lastMark)
    this.#lastMark = now
  }

  #emit(
    stage: StageFacts['stage'],
    code: number | undefined,
    outcome: Outcome | undefined,
    isAwaited: boolean,
  ): void {
    const now = this.#context.now()
    const at = this.#context.clock.microsecondsAt(now)
    const facts = { stage, at, duration: now - this.#start, code, outcome }
    this.#context.release(this.#eventBytes)
    this.#eventsLeft -= 1
    const line = eventLine(this, facts)
    if (this.authentication === undefined && outcome !== undefined) {
      const bytes = Buffer.byteLength(line)
      if (!this.#context.admitUnauthenticated(this.remoteAddress, bytes, outcome)) return
    }
    this.recorded = this.#context.emit(line, () => eventLine(this, shortened(facts)), isAwaited)
  }
}

function shortened(facts: StageFacts): StageFacts {
  const { outcome } = facts
  if (outcome === undefined) return facts
  const { message, cause, lock, revocation } = outcome
  return {
    ...facts,
    outcome: {
      ...outcome,
      ...(message === undefined ? {} : { message: truncateJson(message, SHORT_TEXT_BYTES) }),
      ...(cause === undefined ? {} : { cause: truncateJson(cause, SHORT_TEXT_BYTES) }),
      ...(lock === undefined ? {} : { lock: truncateJson(lock, SHORT_TEXT_BYTES) }),
      ...(revocation === undefined
        ? {}
        : { revocation: truncateJson(revocation, SHORT_TEXT_BYTES) }),
    },
  }
}

/** The most that the first `length` characters of a text take as JSON; cheap for ASCII. */
function jsonBytes(text: string, length: number): number {
  const characters = Math.min(text.length, length)
  return characters * (Buffer.byteLength(text) === text.length ? 2 : MAX_UNIT_BYTES)
}

/** The data that an audit event is built from. */
import type { Authentication } from '../authentication/authenticator.ts'
import type { Decision } from '../authorization/authorizer.ts'
import type { RequestInfo, Target } from '../request/types.ts'
import type { AuditStage } from './event.ts'
import type { ImpersonatedFacts, IssuedFacts, Outcome, PipelineStage } from './record.ts'

/** Milliseconds spent in each stage; undefined for a stage that did not end. */
export type Latencies = Record<PipelineStage, number | undefined>

/** What is known about a request when an event is written. */
export interface RecordFacts {
  readonly auditID: string
  /** Microseconds since the epoch. */
  readonly receivedAt: number
  readonly method: string
  readonly rawTarget: string
  readonly remoteAddress: string
  readonly userAgent: string | undefined
  readonly target: Target | undefined
  readonly info: RequestInfo | undefined
  /** The verb of a request for Gatehouse itself, which has no `info`. */
  readonly ownVerb: string | undefined
  readonly authentication: Authentication | undefined
  readonly impersonation: ImpersonatedFacts | undefined
  readonly certificate: IssuedFacts | undefined
  readonly decision: Decision | undefined
  readonly identityMode: string | undefined
  readonly latencies: Latencies
}

/** The stage that an event reports. */
export interface StageFacts {
  readonly stage: AuditStage
  /** Microseconds since the epoch. */
  readonly at: number
  /** Milliseconds since reception. */
  readonly duration: number
  /** Of the response; undefined at stage RequestReceived. */
  readonly code: number | undefined
  /** Undefined before the final stage. */
  readonly outcome: Outcome | undefined
}

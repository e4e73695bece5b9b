/** The ports between the handler chain, the auditor and the sinks. */
import type { Authentication } from '../authentication/authenticator.ts'
import type { Decision } from '../authorization/authorizer.ts'
import type { ClientRequest } from '../http/exchange.ts'
import type { RequestInfo, Target } from '../request/types.ts'

/** The stages whose latency the record names. */
export type PipelineStage = 'request' | 'limits' | 'authentication' | 'authorization' | 'upstream'

/** How a request ended; whatever happened, exactly one of these closes its record. */
export interface Outcome {
  /** HTTP code of the answer; 499 is never sent but recorded when the client left before one. */
  readonly code: number
  /** Reason and message when Gatehouse itself answered with a `metav1.Status`. */
  readonly reason?: string
  readonly message?: string
  /** Why it was refused, where the client is not told: of a 401, or of an upstream that failed. */
  readonly cause?: string
  /** `client`: it left before the answer was whole; `upstream`: the API server broke the answer off. */
  readonly abortedBy?: 'client' | 'upstream' | 'gatehouse'
  /** Body bytes from and to the client; for an upgraded connection the tunnel's bytes. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Refusals of strangers that this one event stands for; see refusal-summary.ts. */
  readonly suppressedEvents?: number
  /** An exception that nobody foresaw: stage Panic instead of ResponseComplete. */
  readonly panic?: boolean
}

/**
 * One request's record, open until the exchange has ended. Only the limit of an address comes before:
 * of those beyond it a bounded number has a record (pipeline/address-gate.ts).
 */
export interface AuditRecord {
  /** Minted here (a UUID), sent upstream and returned as `Audit-ID`. */
  readonly auditID: string
  // Each of these ends a stage: the time since the previous one is the stage's latency.
  /** Ends `limits`, which a request passes twice: by address, and by user. */
  admitted(): void
  /** Ends `request`; a second call adds to it. */
  resolved(target: Target, info: RequestInfo): void
  /** Ends `authentication`. */
  authenticated(authentication: Authentication): void
  /** Ends `authorization`. */
  decided(decision: Decision): void
  /** How the user was asserted upstream: `impersonation` or `requestheader`. */
  identityAsserted(mode: string): void
  /** Response head written; ends `upstream`. For long-running requests it emits ResponseStarted. */
  responseStarted(code: number): void
  /** Emits the final event; later calls are ignored. */
  close(outcome: Outcome): void
}

export interface Auditor {
  /**
   * Opens the record. `receivedAt`: `performance.now()` at reception.
   *
   * @throws StatusError 503 when no sink can take a record and policy says refuse
   */
  open(request: ClientRequest, receivedAt: number): AuditRecord
  /** Whether records can be taken now, for `/readyz`; a text says why not. */
  healthy(): string | undefined
  /** Everything accepted is on its way to disk when this resolves. */
  close(): Promise<void>
}

/** Where events go. Never throws; never buffers without a bound. */
export interface AuditSink {
  readonly name: string
  /** One event as one line of JSON, with the newline. False: it could not be taken and is lost. */
  write(line: string): boolean
  /** Undefined when a record can be taken now, else why not. */
  failure(): string | undefined
  flush(): Promise<void>
  close(): Promise<void>
}

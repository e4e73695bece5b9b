/** The interfaces between the handler chain, the auditor and the sinks. */
import type { Authentication, UserInfo } from '../authentication/authenticator.ts'
import type { Decision } from '../authorization/authorizer.ts'
import type { ClientRequest } from '../http/exchange.ts'
import type { RequestInfo, Target } from '../request/types.ts'

/**
 * When events are written, with the names of kube-apiserver's `--audit-log-mode`
 * (apiserver/pkg/server/options/audit.go): soon after the response, before it, or, for a request that
 * may change something, also before the request is forwarded.
 */
export type AuditMode = 'batch' | 'blocking' | 'blocking-strict'

/** The stages whose latency is recorded. */
export type PipelineStage = 'request' | 'limits' | 'authentication' | 'authorization' | 'upstream'

/** A user whom the authenticated user acts as. */
export interface ImpersonatedFacts {
  readonly user: UserInfo
  /** The verb of the mode of constrained impersonation (KEP-5284); empty in legacy mode. */
  readonly constraint: string
}

/** A client certificate that Gatehouse has issued. */
export interface IssuedFacts {
  /** Upper-case hex. */
  readonly serial: string
  /** Milliseconds since the epoch. */
  readonly notAfter: number
  /** The issuer or directory where its user has signed in. */
  readonly source: string
}

/** How a request ended; exactly one of these closes its record. */
export interface Outcome {
  /** HTTP code of the response; 499, which is never sent, when the client disconnected before one. */
  readonly code: number
  /** Reason and message when the response is a `metav1.Status` of Gatehouse. */
  readonly reason?: string
  readonly message?: string
  /** The cause of a refusal that the response omits: of a 401, or of an upstream failure. */
  readonly cause?: string
  /** The lock that refused or ended the request, or that the request has set or lifted. */
  readonly lock?: string
  /** Why the sign-in of the credential has ended, or which sign-ins the request has ended. */
  readonly revocation?: string
  /** Who ended the response before it was complete. */
  readonly abortedBy?: 'client' | 'upstream' | 'gatehouse'
  /** Body bytes from and to the client; the tunnel's bytes for an upgraded connection. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /** How many refusals of unauthenticated clients this event stands for; see refusal-summary.ts. */
  readonly suppressedEvents?: number
  /** An unexpected exception: stage Panic instead of ResponseComplete. */
  readonly panic?: boolean
}

/**
 * The record of one request, open until the exchange has ended. Only the address limit is checked
 * before: a limited number of the requests beyond it have a record (pipeline/address-gate.ts).
 */
export interface AuditRecord {
  /** A UUID generated here, sent upstream and returned as `Audit-ID`. */
  readonly auditID: string
  // Each of these ends a stage: the time since the previous one is the stage's latency. What makes the
  // record's events longer reserves room for them, and throws a StatusError 503 when there is none.
  /** Ends `limits`, which a request passes twice: by address, and by user. */
  admitted(): void
  /**
   * The request is for Gatehouse itself: its verb is its method, as for any path that is no resource.
   *
   * @param verb in place of its method, where a GET changes something
   */
  servedHere(verb?: string): void
  /** Ends `request`; a second call adds to it. */
  resolved(target: Target, info: RequestInfo): void
  /** Ends `authentication`. */
  authenticated(authentication: Authentication): void
  /** The request is made as another user; events name both. */
  impersonated(acting: ImpersonatedFacts): void
  /** A certificate was issued; the final event names it. */
  issued(certificate: IssuedFacts): void
  /** Ends `authorization`. */
  decided(decision: Decision): void
  /**
   * In the mode `blocking-strict`, emits RequestReceived for a request that may change something. It
   * must not be forwarded or carried out unless `recorded` is undefined or resolves to true.
   */
  forwarding(): void
  /** @param mode how the user was asserted upstream: `impersonation` or `requestheader` */
  identityAsserted(mode: string): void
  /**
   * Whether a response may only be written once its event is in the kernel: after `responseStarted` or,
   * for a response of Gatehouse's own, after `close`, when `recorded` has resolved to true. Otherwise the head is written first.
   */
  readonly holdsResponse: boolean
  /** Ends `upstream`. Emits ResponseStarted for long-running requests, and for all whose response is held. */
  responseStarted(code: number): void
  /** Emits the final event; later calls are ignored. */
  close(outcome: Outcome): void
  /**
   * Whether the last event is in the kernel, as far as something must wait for it; false: it is not, and
   * `onFailure` is `refuse`. Undefined: nothing has to wait.
   */
  readonly recorded: Promise<boolean> | undefined
}

export interface Auditor {
  /**
   * Opens the record.
   *
   * @param receivedAt `performance.now()` at reception
   * @throws StatusError 503 when no sink can take a record and `onFailure` is `refuse`
   */
  open(request: ClientRequest, receivedAt: number): AuditRecord
  /** For `/readyz`: undefined when records can be taken, else the reason why not. */
  healthy(): string | undefined
  /** Writes what the sinks hold, and closes them. */
  close(): Promise<void>
}

/** Also records what Gatehouse itself has to say. */
export interface AlertingAuditor extends Auditor {
  /**
   * Opens the record of an alert of Gatehouse itself about a client. The budget of unauthenticated clients
   * does not apply, so that nobody can use it up first; alerts must be few.
   *
   * @throws StatusError as `open`
   */
  openAlert(request: ClientRequest, at: number): AuditRecord
}

/** Where events are written. Never throws; buffers only up to a limit. */
export interface AuditSink {
  readonly name: string
  /**
   * @param line one event as one line of JSON, including the newline
   * @returns false when the event could not be taken and is lost
   */
  write(line: string): boolean
  /**
   * Resolves to true once every line that was taken so far is in the kernel, and to false as soon as
   * writing fails or makes no progress. Such lines are kept, and may be written later.
   */
  written(): Promise<boolean>
  /** Undefined when a record can be taken, else the reason why not. */
  failure(): string | undefined
  /** How many bytes of lines it can still take. */
  room(): number
  flush(): Promise<void>
  close(): Promise<void>
}

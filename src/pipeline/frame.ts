/**
 * Does what every exchange on the users' listener needs, whichever handler serves it: the limit of its
 * address, an audit record that is closed exactly once, a refusal that the client can read, and
 * metrics.
 */
import { malformedRequest } from '../audit/malformed-request.ts'
import type { AuditRecord, Outcome } from '../audit/record.ts'
import { unrecorded } from '../audit/unrecorded.ts'
import type { Decision } from '../authorization/authorizer.ts'
import type { ClientConnection, Exchange } from '../http/exchange.ts'
import { asStatusError, causeOf, refusalLength, writeRefusal } from '../http/refusal.ts'
import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import { verbLabel, type Metrics } from '../metrics.ts'
import type { RequestClass } from '../request/types.ts'
import { StatusError } from '../status.ts'
import { createAddressGate, type AddressGateStages } from './address-gate.ts'

/** What a handler learns of a request, for the metrics at its end. */
export interface Observed {
  /** What the request is for, of a limited set of values; `none` until that is known. */
  handler: string
  verb: string
  requestClass: RequestClass | undefined
  decision: Decision['decision'] | 'none'
}

/** How a handler's response ended; the frame fills in the bytes where the handler does not. */
export type Handled = Omit<Outcome, 'bytesReceived' | 'bytesSent'> &
  Partial<Pick<Outcome, 'bytesReceived' | 'bytesSent'>>

/**
 * Serves an exchange that the frame has admitted.
 *
 * @throws StatusError to refuse it, as long as no response head has been written; any other exception
 * becomes a 500 that says nothing about its cause
 */
export type Handler = (
  exchange: Exchange,
  record: AuditRecord,
  observed: Observed,
) => Promise<Handled>

export interface FrameOptions {
  /** Members are read anew for every request. */
  readonly stages: AddressGateStages
  /** Sent with every response: HSTS. */
  readonly responseHeaders: readonly string[]
}

export interface FrameEffects {
  readonly log: Log
  readonly metrics: Metrics
}

export interface Frame {
  /** Never rejects. */
  serve(exchange: Exchange, handler: Handler): Promise<void>
  /** Records bytes that were not a request, and to which a response with `code` was sent. */
  recordMalformed(connection: ClientConnection, code: number, message: string): void
  /** Response headers of Gatehouse's own, for responses that a handler writes. */
  readonly ownHeaders: (record: AuditRecord | undefined) => string[]
  /** Writes the pending summary of refusals; the auditor must still be open. */
  close(): void
}

/** The metrics' value for what was refused before its handler ran. */
const NO_HANDLER = 'none'

/** Creates the frame; nothing runs before the first request. */
export function createFrame(
  { stages, responseHeaders }: FrameOptions,
  { log, metrics }: FrameEffects,
): Frame {
  const gate = createAddressGate({ stages }, { log })
  const throttled = throttledLog(log)

  async function serve(exchange: Exchange, handler: Handler): Promise<void> {
    const receivedAt = performance.now()
    const observed: Observed = {
      handler: NO_HANDLER,
      verb: '',
      requestClass: undefined,
      decision: 'none',
    }
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
      record.admitted()
      const handled = await handler(exchange, record, observed)
      code = handled.code
      record.close({ ...bytesOf(exchange), ...handled })
    } catch (error) {
      const refused = refuse(exchange, record, error)
      code = refused instanceof Promise ? await refused : refused
    }
    observe(observed, code, receivedAt)
  }

  function ownHeaders(record: AuditRecord | undefined): string[] {
    return record === undefined
      ? [...responseHeaders]
      : responseHeaders.concat('Audit-ID', record.auditID)
  }

  /**
   * Writes the refusal unless a head was written, and closes the record; returns the code. A promise
   * only if the response must wait for its event.
   */
  function refuse(
    exchange: Exchange,
    record: AuditRecord | undefined,
    error: unknown,
  ): number | Promise<number> {
    const refusal = asStatusError(error)
    const panic = !(error instanceof StatusError)
    if (panic)
      throttled.error({ err: error, auditID: record?.auditID }, 'request failed unexpectedly')
    const isHeld = record?.holdsResponse === true && !exchange.response.headersSent
    if (!isHeld) write(exchange, record, refusal)
    record?.close({
      code: refusal.code,
      reason: refusal.reason,
      message: refusal.message,
      ...(refusal.cause instanceof Error ? { cause: causeOf(refusal.cause) } : {}),
      ...subjectOf(refusal),
      ...bytesOf(exchange),
      ...(isHeld ? { bytesSent: refusalLength(exchange, refusal) } : {}),
      ...(panic ? { panic } : {}),
    })
    return isHeld ? writeRecorded(exchange, record, refusal) : refusal.code
  }

  /**
   * Without its event, a refusal becomes a 503. An error of the server stays what it is: it says that
   * the request may have been carried out.
   */
  async function writeRecorded(
    exchange: Exchange,
    record: AuditRecord,
    refusal: StatusError,
  ): Promise<number> {
    // Undefined where one event stands for many refusals.
    const isRecorded = (await record.recorded) !== false
    const written = isRecorded || refusal.code >= 500 ? refusal : unrecorded()
    write(exchange, record, written)
    return written.code
  }

  function write(exchange: Exchange, record: AuditRecord | undefined, refusal: StatusError): void {
    try {
      if (exchange.response.headersSent) exchange.response.destroy()
      else writeRefusal(exchange, refusal, ownHeaders(record))
    } catch (writeError) {
      throttled.error({ err: writeError, auditID: record?.auditID }, 'refusal could not be written')
      exchange.response.destroy()
    }
  }

  function observe(observed: Observed, code: number, receivedAt: number) {
    const { handler, verb, requestClass, decision } = observed
    metrics.requests.inc({ handler, verb: verbLabel(verb), code: String(code), decision })
    if (requestClass === undefined || requestClass === 'stream') return
    const seconds = (performance.now() - receivedAt) / 1_000
    metrics.requestDuration.observe({ class: requestClass }, seconds)
  }

  async function record(connection: ClientConnection, code: number, message: string) {
    const receivedAt = performance.now()
    try {
      const over = await gate.admit(connection.remoteAddress, code)
      if (over?.hasEvent !== false) {
        const reason = code === 431 ? 'RequestHeaderFieldsTooLarge' : 'BadRequest'
        const malformed = stages.auditor.open(malformedRequest(connection), receivedAt)
        malformed.close({ code, reason, message, bytesReceived: 0, bytesSent: 0 })
      }
    } catch (error) {
      throttled.warn({ err: error }, 'malformed input could not be recorded')
    }
    const labels = { handler: NO_HANDLER, verb: verbLabel(''), decision: 'none' }
    metrics.requests.inc({ ...labels, code: String(code) })
  }

  return {
    serve,
    recordMalformed: (connection, code, message) => void record(connection, code, message),
    ownHeaders,
    close: () => gate.close(),
  }
}

/** The lock or the end of a sign-in for which a request is refused. */
function subjectOf({ lock, revocation }: StatusError): Pick<Outcome, 'lock' | 'revocation'> {
  return {
    ...(lock === undefined ? {} : { lock }),
    ...(revocation === undefined ? {} : { revocation }),
  }
}

function bytesOf({ bytesReceived, response }: Exchange) {
  return { bytesReceived, bytesSent: response.bytesWritten }
}

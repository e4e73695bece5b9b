import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { createWallClock } from './clock.ts'
import { malformedRequest } from './malformed-request.ts'
import type { AlertingAuditor, AuditMode, AuditSink } from './record.ts'
import type { SuppressedRefusals } from './refusal-summary.ts'
import { RequestRecord, UNAUTHENTICATED_EVENT_BYTES, type RecordContext } from './request-record.ts'
import {
  createUnauthenticatedEvents,
  type UnauthenticatedEventsOptions,
} from './unauthenticated-events.ts'
import { unrecorded } from './unrecorded.ts'

/** Lost events are logged at most once in this time. */
const LOSS_LOG_INTERVAL_MS = 5_000
/** How often written events are added to the metric: a labeled counter costs as much as a line. */
const COUNT_INTERVAL_MS = 500

export interface AuditorOptions {
  /** At least one. Each event is written to all of them. */
  readonly sinks: readonly AuditSink[]
  /** When no sink can take a record: refuse the request, or serve it and count the loss. */
  readonly onFailure: 'refuse' | 'count'
  /** `batch` by default. `blocking-strict` requires `onFailure: refuse`. */
  readonly mode?: AuditMode
  /** The budget for events of unauthenticated clients; unlimited by default. */
  readonly unauthenticated?: UnauthenticatedEventsOptions
}

export interface AuditorEffects {
  readonly metrics: Metrics
  readonly log: Log
  /** Monotonic milliseconds on the clock of `receivedAt`; `performance.now()` by default. */
  readonly now?: () => number
}

/** One sink, and how many events were written to it and lost. */
interface Destination {
  readonly sink: AuditSink
  written: number
  lost: number
}

/**
 * Creates the auditor. Every opened record yields exactly one final event, however the request ends,
 * and the response of a long-running request yields one when it starts.
 *
 * @throws Error when there is no sink: running without an audit log is not supported
 */
export function createAuditor(
  { sinks, onFailure, mode = 'batch', unauthenticated }: AuditorOptions,
  effects: AuditorEffects,
): AlertingAuditor {
  const { metrics, log, now = () => performance.now() } = effects
  if (sinks.length === 0) throw new Error('the audit log has no sink')
  const destinations = sinks.map((sink): Destination => ({ sink, written: 0, lost: 0 }))
  // Creates the series, since `increase()` does not see a first loss that creates it.
  for (const { sink } of destinations) {
    for (const result of ['lost', 'late']) metrics.auditEvents.inc({ sink: sink.name, result }, 0)
  }
  let countTimer: NodeJS.Timeout | undefined
  let lossLoggedAt = -Infinity
  /** Events that were not written, but counted in another one. */
  let summarized = 0
  /** Bytes of the events that open records may still write. */
  let reserved = 0

  const context: RecordContext = {
    now,
    clock: createWallClock(
      performance.timeOrigin,
      effects.now === undefined ? Date.now : undefined,
    ),
    mode,
    emit,
    reserve(bytes) {
      if (onFailure === 'refuse') requireRoom(bytes)
      reserved += bytes
    },
    admitUnauthenticated(address, bytes, outcome) {
      const count = outcome.suppressedEvents ?? 1
      if (events === undefined || events.admit(address, bytes, outcome.code, count)) return true
      summarized += 1
      countTimer ??= setTimeout(countWritten, COUNT_INTERVAL_MS).unref()
      return false
    },
    release(bytes) {
      reserved -= bytes
    },
  }

  const events =
    unauthenticated && createUnauthenticatedEvents(unauthenticated, { write: summarize, now })
  const unlimited: RecordContext = { ...context, admitUnauthenticated: () => true }

  /** Writes the event that stands for others of an address. */
  function summarize({ address, count, codes, since }: SuppressedRefusals): boolean {
    try {
      const request = malformedRequest({
        ...{ remoteAddress: address ?? '', remotePort: 0, peerCertificate: undefined },
        retire: () => undefined,
      })
      new RequestRecord(unlimited, request, since).close({
        code: 401,
        reason: 'Unauthorized',
        message:
          `${count} more unauthenticated requests of ${address ?? 'other addresses'} are beyond the ` +
          `budget of audit.unauthenticated: ${codes}`,
        suppressedEvents: count,
        ...{ bytesReceived: 0, bytesSent: 0 },
      })
      return true
    } catch {
      // There is no room: it is written later.
      return false
    }
  }

  function emit(
    line: string,
    shorter: () => string,
    isAwaited: boolean,
  ): Promise<boolean> | undefined {
    const bytes = Buffer.byteLength(line)
    const taking: AuditSink[] | undefined = isAwaited ? [] : undefined
    for (const destination of destinations) {
      const { sink } = destination
      // Long texts must not take the room of other records.
      const isLong = sink.room() < reserved + bytes
      if (sink.write(isLong ? shorter() : line)) {
        destination.written++
        taking?.push(sink)
      } else lose(destination)
    }
    countTimer ??= setTimeout(countWritten, COUNT_INTERVAL_MS).unref()
    return taking === undefined ? undefined : recorded(taking)
  }

  /**
   * Waits until each of the sinks has its lines in the kernel or fails. One of them is enough, as it is
   * for opening a record; with `count`, none is needed.
   */
  async function recorded(taking: readonly AuditSink[]): Promise<boolean> {
    const [only] = taking
    const isWritten =
      only !== undefined && taking.length === 1
        ? await inKernel(only)
        : (await Promise.all(taking.map(inKernel))).includes(true)
    return isWritten || onFailure === 'count'
  }

  async function inKernel(sink: AuditSink): Promise<boolean> {
    const isWritten = await sink.written()
    if (!isWritten) metrics.auditEvents.inc({ sink: sink.name, result: 'late' })
    return isWritten
  }

  function lose(destination: Destination): void {
    const { sink } = destination
    destination.lost++
    metrics.auditEvents.inc({ sink: sink.name, result: 'lost' })
    if (now() - lossLoggedAt < LOSS_LOG_INTERVAL_MS) return
    lossLoggedAt = now()
    const lost = Object.fromEntries(destinations.map((each) => [each.sink.name, each.lost]))
    log.error({ sink: sink.name, reason: sink.failure(), lost }, 'audit events are being lost')
  }

  function countWritten(): void {
    clearTimeout(countTimer)
    countTimer = undefined
    for (const destination of destinations) {
      if (summarized > 0) {
        const labels = { sink: destination.sink.name, result: 'summarized' }
        metrics.auditEvents.inc(labels, summarized)
      }
      if (destination.written === 0) continue
      const labels = { sink: destination.sink.name, result: 'written' }
      metrics.auditEvents.inc(labels, destination.written)
      destination.written = 0
    }
    summarized = 0
  }

  /** @throws StatusError 503 when no sink has room for events of `bytes` bytes */
  function requireRoom(bytes: number): void {
    const reasons = failure(bytes)
    if (reasons === undefined) return
    throw unrecorded({ cause: new Error(reasons) })
  }

  function failureOf(sink: AuditSink, bytes: number): string | undefined {
    const reason = sink.failure()
    if (reason !== undefined || sink.room() >= reserved + bytes) return reason
    return `too many requests are open: ${reserved} bytes are reserved for their events`
  }

  /** Why no sink has room for `bytes` more; undefined while at least one has. */
  function failure(bytes: number): string | undefined {
    let reasons: string | undefined
    for (const { sink } of destinations) {
      const reason = failureOf(sink, bytes)
      if (reason === undefined) return undefined
      const text = `${sink.name}: ${reason}`
      reasons = reasons === undefined ? text : `${reasons}; ${text}`
    }
    return reasons
  }

  return {
    open(request, receivedAt) {
      return new RequestRecord(context, request, receivedAt)
    },
    openAlert(request, at) {
      return new RequestRecord(unlimited, request, at)
    },
    // With `count`, requests are served without records: failing readiness would defeat that.
    healthy: () => (onFailure === 'refuse' ? failure(UNAUTHENTICATED_EVENT_BYTES) : undefined),
    async close() {
      events?.close()
      await Promise.all(destinations.map(({ sink }) => sink.close()))
      countWritten()
    },
  }
}

import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { StatusError } from '../status.ts'
import { createWallClock } from './clock.ts'
import type { AuditSink, Auditor } from './record.ts'
import { RequestRecord, type RecordContext } from './request-record.ts'

/** At most one line of the operational log in this time about events that were lost. */
const LOSS_LOG_MS = 5_000
/** Events taken are added to the metric this often: a counter with labels costs as much as a line. */
const COUNT_MS = 500

export interface AuditorOptions {
  /** At least one. Each event goes to all. */
  readonly sinks: readonly AuditSink[]
  /** When no sink can take a record: refuse the request, or serve it and count the loss. */
  readonly onFailure: 'refuse' | 'count'
  readonly metrics: Metrics
  readonly log: Log
  /** Milliseconds, monotonic, of the same clock as `receivedAt`; `performance.now()` by default. */
  readonly now?: () => number
}

/** One sink and what became of the events given to it. */
interface Destination {
  readonly sink: AuditSink
  written: number
  lost: number
}

/**
 * Makes the auditor: one final event for every record opened, whatever becomes of the request, and
 * one at the start of a response that may take long.
 *
 * @throws Error when there is no sink: no audit is not a configuration
 */
export function createAuditor(options: AuditorOptions): Auditor {
  const { onFailure, metrics, log } = options
  if (options.sinks.length === 0) throw new Error('the audit log has no sink')
  const destinations = options.sinks.map((sink): Destination => ({ sink, written: 0, lost: 0 }))
  // Or the first loss, which makes the series, would be no increase of it.
  for (const { sink } of destinations)
    metrics.auditEvents.inc({ sink: sink.name, result: 'lost' }, 0)
  let countTimer: NodeJS.Timeout | undefined
  let lossLoggedAt = -Infinity

  const now = options.now ?? (() => performance.now())
  const context: RecordContext = {
    now,
    clock: createWallClock(
      performance.timeOrigin,
      options.now === undefined ? Date.now : undefined,
    ),
    emit,
  }

  function emit(line: string): void {
    for (const destination of destinations) {
      if (destination.sink.write(line)) destination.written++
      else lose(destination)
    }
    countTimer ??= setTimeout(countWritten, COUNT_MS).unref()
  }

  function lose(destination: Destination): void {
    const { sink } = destination
    destination.lost++
    metrics.auditEvents.inc({ sink: sink.name, result: 'lost' })
    if (now() - lossLoggedAt < LOSS_LOG_MS) return
    lossLoggedAt = now()
    const lost = Object.fromEntries(destinations.map((each) => [each.sink.name, each.lost]))
    log.error({ sink: sink.name, reason: sink.failure(), lost }, 'audit events are being lost')
  }

  function countWritten(): void {
    clearTimeout(countTimer)
    countTimer = undefined
    for (const destination of destinations) {
      if (destination.written === 0) continue
      const labels = { sink: destination.sink.name, result: 'written' }
      metrics.auditEvents.inc(labels, destination.written)
      destination.written = 0
    }
  }

  /** Undefined as long as one sink takes records. */
  function failure(): string | undefined {
    let reasons: string | undefined
    for (const { sink } of destinations) {
      const reason = sink.failure()
      if (reason === undefined) return undefined
      const text = `${sink.name}: ${reason}`
      reasons = reasons === undefined ? text : `${reasons}; ${text}`
    }
    return reasons
  }

  return {
    open(request, receivedAt) {
      if (onFailure === 'refuse') {
        const reasons = failure()
        if (reasons !== undefined) {
          throw new StatusError(
            'ServiceUnavailable',
            'the audit log cannot be written, and no request is served without a record',
            { cause: new Error(reasons) },
          )
        }
      }
      return new RequestRecord(context, request, receivedAt)
    },
    // Under `count` requests are served without records: taking the replica out would undo that.
    healthy: () => (onFailure === 'refuse' ? failure() : undefined),
    async close() {
      await Promise.all(destinations.map(({ sink }) => sink.close()))
      countWritten()
    },
  }
}

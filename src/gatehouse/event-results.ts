/** Reports what became of the messages with which issuers end sign-ins. */
import { causeOf } from '../http/refusal.ts'
import { createLogThrottle } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { StatusError } from '../status.ts'

export interface EventResultsEffects {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'securityEvents'>
}

/**
 * @param event its name, one of a limited set of values
 * @param error why it was not taken
 */
export type OnEventResult = (event: string, result: string, error?: unknown) => void

/** Senders repeat what could not be kept, for as long as somebody has to do something about it. */
const LINES = { interval: 60_000, lines: 5 } as const

/** Counts every result, and logs those that are lost unless the sender repeats them. */
export function createEventResults({ log, metrics }: EventResultsEffects): OnEventResult {
  const throttle = createLogThrottle(LINES)
  return (event, result, error) => {
    metrics.securityEvents.inc({ event, result })
    // Others are exceptions, which are logged as such.
    if (result !== 'failed' || !(error instanceof StatusError)) return
    const suppressed = throttle(event)
    if (suppressed === undefined) return
    log.error(
      { event, reason: reasonOf(error), ...(suppressed > 0 ? { suppressed } : {}) },
      'a security event could not be put into effect',
    )
  }
}

function reasonOf({ message, cause }: StatusError): string {
  return cause instanceof Error ? `${message}: ${causeOf(cause)}` : message
}

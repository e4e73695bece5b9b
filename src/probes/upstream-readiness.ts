/** Asks the API server, again and again, whether it takes what Gatehouse will send. */
import type { Log } from '../log.ts'
import {
  checkUpstream,
  type UpstreamCheckOptions,
  type UpstreamChecks,
} from '../upstream/checks.ts'

export interface UpstreamReadiness {
  /** The last answers; before the first one every check fails. */
  readonly last: () => UpstreamChecks
  /** Asks again soon, after a change. */
  again(): void
  stop(): void
}

const READY_EVERY_MS = 10_000
const FAILING_EVERY_MS = 1_000

const NOT_YET = 'not checked yet'

/** Asks soon, then every 10 seconds, every second while something is wrong. */
export function watchUpstream(options: () => UpstreamCheckOptions, log: Log): UpstreamReadiness {
  let last: UpstreamChecks = {
    reachable: NOT_YET,
    rejectsAnonymous: NOT_YET,
    assertsIdentity: NOT_YET,
  }
  let said = ''
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let running = false

  const look = async (): Promise<void> => {
    if (running) return
    running = true
    last = await checkUpstream(options())
    running = false
    const problems = [last.reachable, last.rejectsAnonymous, last.assertsIdentity].filter(
      (problem) => problem !== undefined,
    )
    sayOnce(problems)
    schedule(problems.length === 0 ? READY_EVERY_MS : FAILING_EVERY_MS)
  }

  function sayOnce(problems: readonly string[]): void {
    const text = problems.join('; ')
    if (text === said) return
    said = text
    if (text === '') log.info('the API server is ready for Gatehouse')
    else log.warn({ problems }, 'the API server is not ready for Gatehouse')
  }

  function schedule(milliseconds: number): void {
    clearTimeout(timer)
    if (stopped) return
    timer = setTimeout(() => void look(), milliseconds)
    timer.unref()
  }

  // Behind what is under way now: at a start the listeners come first.
  schedule(0)
  return {
    last: () => last,
    again: () => schedule(0),
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}

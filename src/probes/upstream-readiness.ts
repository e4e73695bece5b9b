/** Checks at intervals whether the API server is reachable and accepts Gatehouse's requests. */
import type { Log } from '../log.ts'
import {
  checkUpstream,
  type UpstreamCheckOptions,
  type UpstreamChecks,
} from '../upstream/checks.ts'
import type { IdentityGate } from '../upstream/identity-gate.ts'

export interface UpstreamReadiness {
  /** The results of the last check; before the first one, every check fails. */
  readonly last: () => UpstreamChecks
  /** Checks again soon, after a change. */
  again(): void
  stop(): void
}

const READY_INTERVAL_MS = 10_000
const FAILING_INTERVAL_MS = 1_000

const NOT_YET = 'not checked yet'

export interface UpstreamReadinessEffects {
  readonly log: Log
  /** Learns what every check finds. */
  readonly identityGate: Pick<IdentityGate, 'begin'>
}

/** Checks soon, then every 10 seconds, or every second while a check fails. */
export function watchUpstream(
  options: () => UpstreamCheckOptions,
  { log, identityGate }: UpstreamReadinessEffects,
): UpstreamReadiness {
  let last: UpstreamChecks = {
    reachable: NOT_YET,
    rejectsAnonymous: NOT_YET,
    assertsIdentity: NOT_YET,
  }
  let lastLogged = ''
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let running = false

  const check = async (): Promise<void> => {
    if (running) return
    running = true
    const conclude = identityGate.begin()
    const checked = await checkUpstream(options())
    last = checked
    running = false
    conclude(checked.identity)
    // With the names of the checks in /readyz.
    const problems = Object.entries({
      'upstream-reachable': last.reachable,
      'upstream-rejects-anonymous': last.rejectsAnonymous,
      'upstream-asserts-identity': last.assertsIdentity,
    }).flatMap(([name, problem]) => (problem === undefined ? [] : [`${name}: ${problem}`]))
    logChange(problems)
    schedule(problems.length === 0 ? READY_INTERVAL_MS : FAILING_INTERVAL_MS)
  }

  function logChange(problems: readonly string[]): void {
    const text = problems.join('; ')
    if (text === lastLogged) return
    lastLogged = text
    if (text === '') log.info('the API server is ready for Gatehouse')
    else log.warn({ problems }, 'the API server is not ready for Gatehouse')
  }

  function schedule(milliseconds: number): void {
    clearTimeout(timer)
    if (stopped) return
    timer = setTimeout(() => void check(), milliseconds)
    timer.unref()
  }

  // Not in this turn of the event loop: at the start, the listeners come first.
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

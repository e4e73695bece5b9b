/**
 * A circuit breaker: after a failure nothing is asked any more, until a probe succeeds. A dependency that
 * hangs therefore delays what is asked at that moment, by one deadline, and nothing after that.
 */

/** Between two probes while the circuit is open. */
export const PROBE_INTERVAL_MS = 200

export interface Circuit {
  /** Why nothing may be asked; undefined while the circuit is closed. */
  readonly problem: string | undefined
  /** Opens the circuit: something that was asked failed. */
  open(problem: string): void
  stop(): void
}

export interface CircuitEffects {
  /** Resolves when the dependency works; rejects with why it does not. */
  readonly probe: () => Promise<void>
  /** Called when the circuit opens, with the reason, and when it closes, with undefined. */
  readonly onChange: (problem: string | undefined) => void
}

/** Creates the circuit, open until a first probe succeeds. It probes at once. */
export function createCircuit(
  { startsWith }: { readonly startsWith: string },
  { probe, onChange }: CircuitEffects,
): Circuit {
  let problem: string | undefined = startsWith
  let isProbing = false
  let isStopped = false
  let timer: NodeJS.Timeout | undefined

  function tryProbe(): void {
    if (isProbing) return
    isProbing = true
    probe()
      .then(close, (error: unknown) => {
        problem = (error as Error).message
      })
      .finally(() => {
        isProbing = false
      })
  }

  function close(): void {
    if (isStopped) return
    problem = undefined
    clearInterval(timer)
    timer = undefined
    onChange(undefined)
  }

  function startProbing(): void {
    timer ??= setInterval(tryProbe, PROBE_INTERVAL_MS).unref()
  }

  startProbing()
  tryProbe()
  return {
    get problem() {
      return problem
    },
    open(reason) {
      if (isStopped || problem !== undefined) return
      problem = reason
      onChange(problem)
      startProbing()
    },
    stop() {
      isStopped = true
      clearInterval(timer)
    },
  }
}

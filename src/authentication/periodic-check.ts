/**
 * Tries at intervals whether something that sign-ins depend on works, so that the administrator learns of a
 * fault before users do.
 */

export interface PeriodicCheck {
  /** Why it does not work; undefined when it does. */
  readonly problem: string | undefined
  /** False until the first try has ended. */
  readonly wasTried: boolean
  /** Tries now, after a change. */
  again(): void
  close(): void
}

export interface PeriodicCheckEffects {
  /** Rejects with what is wrong. An error with `retryAfter`, in milliseconds, delays the next try. */
  readonly probe: () => Promise<void>
  /** Called with another problem than before, and with undefined when there is none any more. */
  readonly onChange: (problem: string | undefined) => void
}

const INTERVAL_MS = 60_000
const NOT_YET = 'not checked yet'

/** Creates the check, and begins with it. */
export function createPeriodicCheck({ probe, onChange }: PeriodicCheckEffects): PeriodicCheck {
  let problem: string | undefined
  let wasTried = false
  let isRunning = false
  let changes = 0
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  function conclude(found: string | undefined): void {
    wasTried = true
    if (isClosed || found === problem) return
    problem = found
    onChange(found)
  }

  async function run(): Promise<void> {
    isRunning = true
    const before = changes
    let delay = INTERVAL_MS
    try {
      await probe()
      conclude(undefined)
    } catch (error) {
      delay = Math.max(delay, retryAfterOf(error))
      conclude(error instanceof Error ? error.message : String(error))
    }
    isRunning = false
    schedule(changes === before ? delay : 0)
  }

  function schedule(milliseconds: number): void {
    clearTimeout(timer)
    if (!isClosed) timer = setTimeout(() => void run(), milliseconds).unref()
  }

  // Not in this turn of the event loop: what is checked may be loaded in it.
  schedule(0)
  return {
    get problem() {
      return wasTried ? problem : NOT_YET
    },
    get wasTried() {
      return wasTried
    },
    again() {
      changes += 1
      if (!isRunning) schedule(0)
    },
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}

function retryAfterOf(error: unknown): number {
  const { retryAfter } = Object(error) as { readonly retryAfter?: unknown }
  return typeof retryAfter === 'number' ? retryAfter : 0
}

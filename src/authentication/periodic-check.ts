/**
 * Tries at intervals whether something that sign-ins depend on works, so that the administrator learns of a
 * fault before users do.
 */

export interface PeriodicCheck {
  /** Why it does not work; undefined when it does. */
  readonly problem: string | undefined
  /** Whether it works all the same. */
  readonly isPartial: boolean
  /** False until the first try has ended. */
  readonly wasTried: boolean
  /** Tries now, after a change. */
  again(): void
  close(): void
}

export interface PeriodicCheckEffects {
  /**
   * Rejects with what is wrong. An error with `retryAfter`, in milliseconds, delays the next try; one with
   * `isPartial` is about a part that something else does the work of.
   */
  readonly probe: () => Promise<void>
  /** Called with another problem than before, and with undefined when there is none any more. */
  readonly onChange: (problem: string | undefined) => void
}

const INTERVAL_MS = 60_000
const NOT_YET = 'not checked yet'

/** Creates the check, and begins with it. */
export function createPeriodicCheck({ probe, onChange }: PeriodicCheckEffects): PeriodicCheck {
  let problem: string | undefined
  let isPartial = false
  let wasTried = false
  let isRunning = false
  let changes = 0
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  function conclude(found: string | undefined, error?: unknown): void {
    wasTried = true
    isPartial = propertyOf(error, 'isPartial') === true
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
      const retryAfter = propertyOf(error, 'retryAfter')
      if (typeof retryAfter === 'number') delay = Math.max(delay, retryAfter)
      conclude(error instanceof Error ? error.message : String(error), error)
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
    get isPartial() {
      return isPartial
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

function propertyOf(error: unknown, name: 'retryAfter' | 'isPartial'): unknown {
  return (Object(error) as Readonly<Partial<Record<typeof name, unknown>>>)[name]
}

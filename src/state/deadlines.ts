/**
 * A deadline for each of many promises with the same timeout. They run out in the order in which they
 * began, so that one timer serves all of them: a timer for each costs more than a script itself.
 *
 * @throws Error `no response within N ms`, or what the promise rejects with
 */
export type Deadlines = <T>(promise: Promise<T>) => Promise<T>

interface Pending {
  readonly endsAt: number
  /** Undefined once the promise is settled. */
  fail: ((error: Error) => void) | undefined
}

/** @param timeout milliseconds */
export function createDeadlines(timeout: number): Deadlines {
  const message = `no response within ${timeout} ms`
  let queue: Pending[] = []
  let timer: NodeJS.Timeout | undefined

  function schedule(): void {
    const oldest = queue.find(({ fail }) => fail !== undefined)
    timer = undefined
    if (oldest === undefined) {
      queue = []
      return
    }
    const rest = Math.max(1, Math.ceil(oldest.endsAt - performance.now()))
    timer = setTimeout(expire, rest).unref()
  }

  function expire(): void {
    const now = performance.now()
    const waiting = queue.findIndex(({ endsAt }) => endsAt > now)
    const expired = queue.splice(0, waiting < 0 ? queue.length : waiting)
    for (const { fail } of expired) fail?.(new Error(message))
    schedule()
  }

  return (promise) => {
    return new Promise((resolve, reject) => {
      const pending: Pending = { endsAt: performance.now() + timeout, fail: reject }
      queue.push(pending)
      timer ??= setTimeout(expire, timeout).unref()
      promise.then(
        (value) => {
          pending.fail = undefined
          resolve(value)
        },
        (error: unknown) => {
          pending.fail = undefined
          reject(error instanceof Error ? error : new Error(String(error)))
        },
      )
    })
  }
}

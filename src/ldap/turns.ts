export interface Turns {
  /** Begins the work when it is its turn, in the order of the calls. */
  take<T>(work: () => Promise<T>): Promise<T>
  /** How many wait for their turn. */
  readonly waiting: number
}

/** Limits how much work is under way at once. */
export function createTurns(max: number): Turns {
  let running = 0
  const waiting: (() => void)[] = []
  return {
    get waiting() {
      return waiting.length
    },
    async take(work) {
      if (running < max) running++
      else await new Promise<void>((resolve) => waiting.push(resolve))
      try {
        return await work()
      } finally {
        const next = waiting.shift()
        if (next === undefined) running--
        else next()
      }
    },
  }
}

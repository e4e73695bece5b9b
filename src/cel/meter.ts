import { CelCostError } from './error.ts'

/**
 * Counts what an evaluation costs: about one for each step, and more for what takes longer. A limit on
 * it is a limit on time, since tokens and rules are judged on the one thread that serves all requests.
 */
export class Meter {
  private readonly limit: number
  private spent = 0

  constructor(limit: number) {
    this.limit = limit
  }

  /** @throws CelCostError beyond the limit */
  charge(cost: number): void {
    this.spent += cost
    if (this.spent > this.limit) throw new CelCostError(this.limit)
  }
}

/** Characters of text that cost as much as one step. */
export const CHARACTERS_PER_STEP = 16

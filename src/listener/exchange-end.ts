/**
 * What is called at the end of an exchange, by one listener: each listener of node costs as much as some
 * stages of the pipeline. Afterwards nothing is kept, since node may keep a closed stream for long.
 */
export class ExchangeEnd {
  #callbacks: (() => void)[] | undefined

  /** @param first called before all others */
  constructor(first: () => void) {
    this.#callbacks = [first]
  }

  get isOver(): boolean {
    return this.#callbacks === undefined
  }

  /** Adds a callback; only before the end. */
  add(callback: () => void): void {
    this.#callbacks?.push(callback)
  }

  /**
   * Calls all of them, once.
   *
   * @throws what the first of them threw that failed; the others were called all the same
   */
  run(): void {
    const callbacks = this.#callbacks
    if (callbacks === undefined) return
    this.#callbacks = undefined
    const failures: unknown[] = []
    for (const callback of callbacks) {
      try {
        callback()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}

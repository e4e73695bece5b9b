/**
 * Counts of what happens with every request. `prom-client` checks, sorts and joins the labels with
 * each increment, which costs more than the rules do; here increments are added up by their labels'
 * values, and handed over when the metrics are collected.
 */

/** Stands in no label value that this code base makes. */
const SEPARATOR = '\n'

interface Entry<L extends string> {
  readonly labels: Readonly<Record<L, string>>
  count: number
}

/** As many entries as there are combinations of values, which the metrics keep bounded. */
export class Tally<L extends string> {
  readonly #labelNames: readonly L[]
  readonly #entries = new Map<string, Entry<L>>()

  constructor(labelNames: readonly L[]) {
    this.#labelNames = labelNames
  }

  inc(labels: Readonly<Record<L, string>>): void {
    this.#entry(labels).count += 1
  }

  /** For what also goes down: a gauge. */
  dec(labels: Readonly<Record<L, string>>): void {
    this.#entry(labels).count -= 1
  }

  /** What came together since the last time; what did not change is in it with 0. */
  take(): Readonly<Entry<L>>[] {
    const taken = [...this.#entries.values()].map((entry) => ({ ...entry }))
    for (const entry of this.#entries.values()) entry.count = 0
    return taken
  }

  #entry(labels: Readonly<Record<L, string>>): Entry<L> {
    let key = ''
    for (const name of this.#labelNames) key += labels[name] + SEPARATOR
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = { labels: { ...labels }, count: 0 }
      this.#entries.set(key, entry)
    }
    return entry
  }
}

/**
 * Counters for what happens with every request. `prom-client` checks, sorts and joins the labels at
 * each increment, which costs more than evaluating the rules. A tally adds increments up by label
 * values, and passes them on when the metrics are collected.
 */

/** Not part of any label value. */
const SEPARATOR = '\n'

interface Entry<L extends string> {
  readonly labels: Readonly<Record<L, string>>
  count: number
}

/** Has one entry per combination of label values, whose number the metrics limit. */
export class Tally<L extends string> {
  readonly #labelNames: readonly L[]
  readonly #entries = new Map<string, Entry<L>>()

  constructor(labelNames: readonly L[]) {
    this.#labelNames = labelNames
  }

  inc(labels: Readonly<Record<L, string>>): void {
    this.#entry(labels).count += 1
  }

  /** For gauges. */
  dec(labels: Readonly<Record<L, string>>): void {
    this.#entry(labels).count -= 1
  }

  /** The changes since the last call; combinations that did not change are included with 0. */
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

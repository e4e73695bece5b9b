/** Finds values by exact pattern or by prefix (`team-*`), in time that does not grow with their number. */
export class PatternIndex<T> {
  readonly #exact = new Map<string, T[]>()
  readonly #prefixes = new Map<string, T[]>()
  #prefixLengths: readonly number[] = []

  add(pattern: string, value: T): void {
    const isPrefix = pattern.endsWith('*')
    const map = isPrefix ? this.#prefixes : this.#exact
    const key = isPrefix ? pattern.slice(0, -1) : pattern
    const values = map.get(key)
    if (values === undefined) map.set(key, [value])
    else values.push(value)
    if (isPrefix && !this.#prefixLengths.includes(key.length)) {
      this.#prefixLengths = [...this.#prefixLengths, key.length].toSorted((a, b) => a - b)
    }
  }

  /** How many values have this very pattern. */
  count(pattern: string): number {
    const isPrefix = pattern.endsWith('*')
    const map = isPrefix ? this.#prefixes : this.#exact
    return map.get(isPrefix ? pattern.slice(0, -1) : pattern)?.length ?? 0
  }

  /** Appends to `found` every value whose pattern matches. A value with two patterns may be found twice. */
  find(text: string, found: T[]): void {
    const exact = this.#exact.get(text)
    if (exact !== undefined) append(found, exact)
    for (const length of this.#prefixLengths) {
      if (length > text.length) return
      const values = this.#prefixes.get(text.slice(0, length))
      if (values !== undefined) append(found, values)
    }
  }
}

function append<T>(to: T[], values: readonly T[]): void {
  for (const value of values) to.push(value)
}

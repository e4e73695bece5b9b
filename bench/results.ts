/** What was measured: samples by metric and peer, and their medians. */

export interface Metric {
  readonly id: string
  /** Head of the column. */
  readonly title: string
  readonly digits: number
}

export const metrics = [
  { id: 'cpu/h1', title: 'CPU µs/req h1', digits: 0 },
  { id: 'cpu/h2', title: 'CPU µs/req h2', digits: 0 },
  { id: 'rate/h1', title: 'req/s h1', digits: 0 },
  { id: 'rate/h2', title: 'req/s h2', digits: 0 },
  { id: 'p50', title: 'p50 µs', digits: 0 },
  { id: 'p99', title: 'p99 µs', digits: 0 },
  { id: 'bulk/h1', title: 'CPU s/GB h1', digits: 2 },
  { id: 'bulk/h2', title: 'CPU s/GB h2', digits: 2 },
  { id: 'watch/h1', title: 'KiB/watch h1', digits: 0 },
  { id: 'watch/h2', title: 'KiB/watch h2', digits: 0 },
  { id: 'ready', title: 'ready ms', digits: 0 },
] as const satisfies readonly Metric[]

export type MetricId = (typeof metrics)[number]['id']

export class Results {
  readonly #samples = new Map<string, number[]>()

  add(peer: string, metric: MetricId, value: number): void {
    const key = `${peer} ${metric}`
    const samples = this.#samples.get(key)
    if (samples === undefined) this.#samples.set(key, [value])
    else samples.push(value)
  }

  /** Undefined where nothing was measured. */
  median(peer: string, metric: MetricId): number | undefined {
    const samples = this.#samples.get(`${peer} ${metric}`)
    if (samples === undefined) return undefined
    const sorted = samples.toSorted((a, b) => a - b)
    const middle = sorted.length >> 1
    const upper = sorted[middle] ?? NaN
    return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
  }
}

/** The table: a line a peer, a column each metric that anybody has. */
export function table(results: Results, peers: readonly string[]): string {
  const columns = metrics.filter(({ id }) =>
    peers.some((peer) => results.median(peer, id) !== undefined),
  )
  const rows = [
    ['', ...columns.map(({ title }) => title)],
    ...peers.map((peer) => [
      peer,
      ...columns.map(({ id, digits }) => results.median(peer, id)?.toFixed(digits) ?? '-'),
    ]),
  ]
  return format(rows)
}

/** Columns padded to their widest cell; the first one flush left, the others right. */
export function format(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
  return rows.map(line).join('\n')
}

/** The results of a run: samples by peer and metric, and their medians. */

export interface Metric {
  readonly id: string
  /** The heading of the column. */
  readonly title: string
  /** Digits after the decimal point. */
  readonly digits: number
}

/** All metrics, in the order of the columns. */
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

export interface Results {
  add(peer: string, metric: MetricId, value: number): void
  /** The median of the samples; undefined if there are none. */
  median(peer: string, metric: MetricId): number | undefined
}

/** Creates empty results. */
export function createResults(): Results {
  const samples = new Map<string, number[]>()
  const keyOf = (peer: string, metric: MetricId): string => `${peer} ${metric}`
  return {
    add(peer, metric, value) {
      const key = keyOf(peer, metric)
      samples.set(key, [...(samples.get(key) ?? []), value])
    },
    median(peer, metric) {
      const sorted = samples.get(keyOf(peer, metric))?.toSorted((a, b) => a - b)
      if (sorted === undefined) return undefined
      const middle = sorted.length >> 1
      const upper = sorted[middle] ?? NaN
      return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
    },
  }
}

/** The table of results: one line per peer, one column per metric that any peer has. */
export function resultTable(results: Results, peers: readonly string[]): string {
  const columns = metrics.filter(({ id }) =>
    peers.some((peer) => results.median(peer, id) !== undefined),
  )
  return formatTable([
    ['', ...columns.map(({ title }) => title)],
    ...peers.map((peer) => [
      peer,
      ...columns.map(({ id, digits }) => results.median(peer, id)?.toFixed(digits) ?? '-'),
    ]),
  ])
}

/** Pads columns to their widest cell: the first column is left-aligned, the others right-aligned. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
  return rows.map(line).join('\n')
}

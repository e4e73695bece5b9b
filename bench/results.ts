/** The results of a run: samples by peer, metric and round, and their medians. */

export interface Metric {
  readonly id: string
  /** The heading of the column. */
  readonly title: string
  /** Digits after the decimal point. */
  readonly digits: number
}

/** All metrics in the order of the columns, by table. */
const tables = [
  [
    { id: 'cpu/h1', title: 'CPU µs/req h1', digits: 0 },
    { id: 'cpu/h2', title: 'CPU µs/req h2', digits: 0 },
    { id: 'rate/h1', title: 'req/s h1', digits: 0 },
    { id: 'rate/h2', title: 'req/s h2', digits: 0 },
    { id: 'allocated/h1', title: 'kB/req h1', digits: 1 },
    { id: 'allocated/h2', title: 'kB/req h2', digits: 1 },
    { id: 'p50', title: 'p50 µs', digits: 0 },
    { id: 'p99', title: 'p99 µs', digits: 0 },
  ],
  [
    { id: 'bulk/h1', title: 'list CPU s/GB h1', digits: 2 },
    { id: 'bulk/h2', title: 'h2', digits: 2 },
    { id: 'bulk-2k/h1', title: 'in 2 KB h1', digits: 2 },
    { id: 'bulk-2k/h2', title: 'h2', digits: 2 },
    { id: 'bulk-32k/h1', title: 'in 32 KB h1', digits: 2 },
    { id: 'bulk-32k/h2', title: 'h2', digits: 2 },
    { id: 'websocket/down', title: 'WebSocket down', digits: 2 },
    { id: 'websocket/up', title: 'up', digits: 2 },
    { id: 'spdy/down', title: 'SPDY down', digits: 2 },
    { id: 'spdy/up', title: 'up', digits: 2 },
  ],
  [
    { id: 'rss', title: 'RSS MiB', digits: 0 },
    { id: 'rss-growth', title: 'growth', digits: 3 },
    { id: 'watch/h1', title: 'KiB/watch h1', digits: 0 },
    { id: 'watch/h2', title: 'KiB/watch h2', digits: 0 },
    { id: 'start', title: 'start ms', digits: 0 },
    { id: 'start-cpu', title: 'start CPU ms', digits: 0 },
  ],
] as const satisfies readonly (readonly Metric[])[]

export type MetricId = (typeof tables)[number][number]['id']

export interface Results {
  add: (round: number, peer: string, metric: MetricId, value: number) => void
  /** The median of the samples of a round, or of all rounds; undefined if there are none. */
  median: (peer: string, metric: MetricId, round?: number) => number | undefined
}

/** Creates empty results. */
export function createResults(): Results {
  const samples = new Map<string, { readonly round: number; readonly value: number }[]>()
  const keyOf = (peer: string, metric: MetricId): string => `${peer} ${metric}`
  return {
    add: (round, peer, metric, value) => {
      const key = keyOf(peer, metric)
      samples.set(key, [...(samples.get(key) ?? []), { round, value }])
    },
    median: (peer, metric, round) => {
      const all = samples.get(keyOf(peer, metric)) ?? []
      const chosen = round === undefined ? all : all.filter((sample) => sample.round === round)
      return medianOf(chosen.map(({ value }) => value))
    },
  }
}

/** The median of numbers in any order; undefined if there are none. */
export function medianOf(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

/** The tables of results: one line per peer, one column per metric that any peer has. */
export function resultTables(results: Results, peers: readonly string[]): string {
  return tables
    .map((metrics) => tableOf(results, peers, metrics))
    .filter((table) => table !== undefined)
    .join('\n\n')
}

function tableOf(
  results: Results,
  peers: readonly string[],
  metrics: readonly (Metric & { readonly id: MetricId })[],
): string | undefined {
  const columns = metrics.filter(({ id }) =>
    peers.some((peer) => results.median(peer, id) !== undefined),
  )
  const rows = peers.filter((peer) =>
    columns.some(({ id }) => results.median(peer, id) !== undefined),
  )
  if (columns.length === 0) return undefined
  return formatTable([
    ['', ...columns.map(({ title }) => title)],
    ...rows.map((peer) => [
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

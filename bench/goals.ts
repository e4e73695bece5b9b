/** The goals, as ratios in one run, and how far from each the run was. */
import { format, type MetricId, type Results } from './results.ts'

interface Goal {
  readonly what: string
  /** Gatehouse's value over what it is held against, or a plain value; undefined: not measured. */
  readonly value: (results: Results) => number | undefined
  readonly atMost: number
  readonly unit: string
}

const gatehouse = 'gatehouse'

function ratio(metric: MetricId, other: string): Goal['value'] {
  return (results) => {
    const ours = results.median(gatehouse, metric)
    const theirs = results.median(other, metric)
    return ours === undefined || theirs === undefined ? undefined : ours / theirs
  }
}

/** What a proxy adds to the p99 of asking the upstream itself, Gatehouse's over the other's. */
function addedRatio(other: string): Goal['value'] {
  return (results) => {
    const [ours, theirs, direct] = [gatehouse, other, 'direct'].map((peer) =>
      results.median(peer, 'p99'),
    )
    if (ours === undefined || theirs === undefined || direct === undefined) return undefined
    return (ours - direct) / (theirs - direct)
  }
}

function plain(metric: MetricId): Goal['value'] {
  return (results) => results.median(gatehouse, metric)
}

const kilobytes =
  (metric: MetricId): Goal['value'] =>
  (results) => {
    const kibibytes = results.median(gatehouse, metric)
    return kibibytes === undefined ? undefined : kibibytes * 1.024
  }

const goals: readonly Goal[] = [
  {
    what: 'CPU a request / bare Go, HTTP/1.1',
    value: ratio('cpu/h1', 'go'),
    atMost: 0.85,
    unit: 'x',
  },
  {
    what: 'CPU a request / bare Go, HTTP/2',
    value: ratio('cpu/h2', 'go'),
    atMost: 0.85,
    unit: 'x',
  },
  {
    what: 'CPU a request / http-proxy',
    value: ratio('cpu/h1', 'http-proxy'),
    atMost: 1,
    unit: 'x',
  },
  {
    what: 'CPU a request / oidcproxy, HTTP/1.1',
    value: ratio('cpu/h1', 'oidcproxy'),
    atMost: 1 / 3,
    unit: 'x',
  },
  {
    what: 'CPU a request / oidcproxy, HTTP/2',
    value: ratio('cpu/h2', 'oidcproxy'),
    atMost: 1 / 3,
    unit: 'x',
  },
  {
    what: 'CPU a request / oidcproxy-2, HTTP/1.1',
    value: ratio('cpu/h1', 'oidcproxy-2'),
    atMost: 1 / 3,
    unit: 'x',
  },
  {
    what: 'CPU a request / oidcproxy-2, HTTP/2',
    value: ratio('cpu/h2', 'oidcproxy-2'),
    atMost: 1 / 3,
    unit: 'x',
  },
  { what: 'p99 added / oidcproxy', value: addedRatio('oidcproxy'), atMost: 0.5, unit: 'x' },
  { what: 'p99 added / oidcproxy-2', value: addedRatio('oidcproxy-2'), atMost: 0.5, unit: 'x' },
  { what: 'an idle watch, HTTP/1.1', value: kilobytes('watch/h1'), atMost: 40, unit: 'kB' },
  { what: 'an idle watch, HTTP/2', value: kilobytes('watch/h2'), atMost: 40, unit: 'kB' },
  {
    what: '5 MB list, CPU a GB / bare Go, HTTP/1.1',
    value: ratio('bulk/h1', 'go'),
    atMost: 2.7,
    unit: 'x',
  },
  {
    what: '5 MB list, CPU a GB / bare Go, HTTP/2',
    value: ratio('bulk/h2', 'go'),
    atMost: 2.7,
    unit: 'x',
  },
  { what: 'ready', value: plain('ready'), atMost: 300, unit: 'ms' },
]

/** A line a goal that both sides were measured for. */
export function verdicts(results: Results): string {
  const rows = goals.flatMap(({ what, value, atMost, unit }) => {
    const seen = value(results)
    if (seen === undefined) return []
    const over = (seen / atMost - 1) * 100
    const verdict = over <= 0 ? 'met' : `missed by ${over.toFixed(0)} %`
    return [[what, show(seen, unit), `at most ${show(atMost, unit)}`, verdict]]
  })
  if (rows.length === 0)
    return 'no goal can be judged: Gatehouse or its counterpart was not measured'
  return format([['goal', 'seen', 'wanted', ''], ...rows])
}

function show(value: number, unit: string): string {
  return unit === 'x' ? `${value.toFixed(2)} x` : `${value.toFixed(0)} ${unit}`
}

/** The goals, as ratios within one run, and whether the run meets them. */
import { formatTable, type MetricId, type Results } from './results.ts'

interface Goal {
  readonly what: string
  /** The ratio of Gatehouse's value to that of a peer, or its value; undefined if not measured. */
  readonly value: (results: Results) => number | undefined
  readonly atMost: number
  readonly unit: string
}

const GATEHOUSE = 'gatehouse'

function ratio(metric: MetricId, other: string): Goal['value'] {
  return (results) => {
    const ours = results.median(GATEHOUSE, metric)
    const theirs = results.median(other, metric)
    return ours === undefined || theirs === undefined ? undefined : ours / theirs
  }
}

/** The latency that Gatehouse adds to the p99 of the upstream, divided by what the peer adds. */
function addedRatio(other: string): Goal['value'] {
  return (results) => {
    const [ours, theirs, direct] = [GATEHOUSE, other, 'direct'].map((peer) =>
      results.median(peer, 'p99'),
    )
    if (ours === undefined || theirs === undefined || direct === undefined) return undefined
    return (ours - direct) / (theirs - direct)
  }
}

function plain(metric: MetricId): Goal['value'] {
  return (results) => results.median(GATEHOUSE, metric)
}

const kilobytes =
  (metric: MetricId): Goal['value'] =>
  (results) => {
    const kibibytes = results.median(GATEHOUSE, metric)
    return kibibytes === undefined ? undefined : kibibytes * 1.024
  }

const goals: readonly Goal[] = [
  {
    what: 'CPU per request / bare Go, HTTP/1.1',
    value: ratio('cpu/h1', 'go'),
    atMost: 0.85,
    unit: 'x',
  },
  {
    what: 'CPU per request / bare Go, HTTP/2',
    value: ratio('cpu/h2', 'go'),
    atMost: 0.85,
    unit: 'x',
  },
  {
    what: 'CPU per request / http-proxy',
    value: ratio('cpu/h1', 'http-proxy'),
    atMost: 1,
    unit: 'x',
  },
  {
    what: 'CPU per request / oidcproxy, HTTP/1.1',
    value: ratio('cpu/h1', 'oidcproxy'),
    atMost: 1 / 3,
    unit: 'x',
  },
  {
    what: 'CPU per request / oidcproxy, HTTP/2',
    value: ratio('cpu/h2', 'oidcproxy'),
    atMost: 1 / 3,
    unit: 'x',
  },
  {
    what: 'CPU per request / oidcproxy-2, HTTP/1.1',
    value: ratio('cpu/h1', 'oidcproxy-2'),
    atMost: 1 / 3,
    unit: 'x',
  },
  {
    what: 'CPU per request / oidcproxy-2, HTTP/2',
    value: ratio('cpu/h2', 'oidcproxy-2'),
    atMost: 1 / 3,
    unit: 'x',
  },
  { what: 'added p99 latency / oidcproxy', value: addedRatio('oidcproxy'), atMost: 0.5, unit: 'x' },
  {
    what: 'added p99 latency / oidcproxy-2',
    value: addedRatio('oidcproxy-2'),
    atMost: 0.5,
    unit: 'x',
  },
  { what: 'memory per idle watch, HTTP/1.1', value: kilobytes('watch/h1'), atMost: 40, unit: 'kB' },
  { what: 'memory per idle watch, HTTP/2', value: kilobytes('watch/h2'), atMost: 40, unit: 'kB' },
  {
    what: 'CPU per GB of 5 MB lists / bare Go, HTTP/1.1',
    value: ratio('bulk/h1', 'go'),
    atMost: 2.7,
    unit: 'x',
  },
  {
    what: 'CPU per GB of 5 MB lists / bare Go, HTTP/2',
    value: ratio('bulk/h2', 'go'),
    atMost: 2.7,
    unit: 'x',
  },
  { what: 'time until ready', value: plain('ready'), atMost: 300, unit: 'ms' },
]

/** A table with one line per goal for which all values were measured. */
export function verdicts(results: Results): string {
  const rows = goals.flatMap(({ what, value, atMost, unit }) => {
    const measured = value(results)
    if (measured === undefined) return []
    const over = (measured / atMost - 1) * 100
    const verdict = over <= 0 ? 'met' : `missed by ${over.toFixed(0)} %`
    return [[what, show(measured, unit), `at most ${show(atMost, unit)}`, verdict]]
  })
  if (rows.length === 0) {
    return 'no goal can be evaluated: Gatehouse or the peer was not measured'
  }
  return formatTable([['goal', 'measured', 'limit', 'result'], ...rows])
}

function show(value: number, unit: string): string {
  return unit === 'x' ? `${value.toFixed(2)} x` : `${value.toFixed(0)} ${unit}`
}

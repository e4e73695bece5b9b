/** The goals, and whether a run meets them: ratios within one round, and values of Gatehouse. */
import { NOISY, STEADY } from './measurements.ts'
import { formatTable, medianOf, type MetricId, type Results } from './results.ts'

interface Goal {
  readonly what: string
  /** The value of one round; undefined if a part of it was not measured. */
  readonly value: (results: Results, round: number) => number | undefined
  readonly atMost: number
  /** Printed behind the value; `x` for a ratio. */
  readonly unit: string
  /**
   * The number of rounds that makes the median mean something: with fewer, the value of the next run
   * may well be on the other side of the limit.
   */
  readonly rounds: number
}

export const GATEHOUSE = 'gatehouse'
export const GO = 'go'
export const OIDC_PROXY = 'oidcproxy'
/** Gatehouse, and the peers that the goals compare it with. */
export const peersOfGoals: readonly string[] = [GATEHOUSE, GO, OIDC_PROXY]

const ONCE = 1

function ratio(metric: MetricId, other: string): Goal['value'] {
  return (results, round) => {
    const ours = results.median(GATEHOUSE, metric, round)
    const theirs = results.median(other, metric, round)
    return ours === undefined || theirs === undefined ? undefined : ours / theirs
  }
}

/**
 * The latency that Gatehouse adds to the p99 of the upstream, divided by what the peer adds; undefined if
 * the peer seems to add nothing, as on a machine that does something else.
 */
function addedRatio(other: string): Goal['value'] {
  return (results, round) => {
    const [ours, theirs, direct] = [GATEHOUSE, other, 'direct'].map((peer) =>
      results.median(peer, 'p99', round),
    )
    if (ours === undefined || theirs === undefined || direct === undefined) return undefined
    return theirs > direct ? (ours - direct) / (theirs - direct) : undefined
  }
}

function plain(metric: MetricId, factor = 1): Goal['value'] {
  return (results, round) => {
    const value = results.median(GATEHOUSE, metric, round)
    return value === undefined ? undefined : value * factor
  }
}

const MEGABYTES_PER_MEBIBYTE = 1.048576

function comparison(
  what: string,
  [metric, other]: readonly [MetricId, string],
  atMost: number,
  rounds = STEADY,
): Goal {
  return { what: `${what} / ${other}`, value: ratio(metric, other), atMost, unit: 'x', rounds }
}

const goals: readonly Goal[] = [
  comparison('CPU per request, h1', ['cpu/h1', GO], 1),
  comparison('CPU per request, h2', ['cpu/h2', GO], 1),
  comparison('CPU per GB, list with length, h1', ['bulk/h1', GO], 1.1),
  comparison('CPU per GB, list with length, h2', ['bulk/h2', GO], 0.9),
  comparison('CPU per GB, list in 2 KB, h1', ['bulk-2k/h1', GO], 1.3),
  comparison('CPU per GB, list in 2 KB, h2', ['bulk-2k/h2', GO], 1),
  comparison('CPU per GB, list in 32 KB, h1', ['bulk-32k/h1', GO], 1.3),
  comparison('CPU per GB, list in 32 KB, h2', ['bulk-32k/h2', GO], 1),
  comparison('CPU per GB, WebSocket down', ['websocket/down', OIDC_PROXY], 1.3),
  comparison('CPU per GB, WebSocket up', ['websocket/up', OIDC_PROXY], 1.8),
  comparison('CPU per GB, SPDY down', ['spdy/down', OIDC_PROXY], 1.3),
  comparison('CPU per GB, SPDY up', ['spdy/up', OIDC_PROXY], 1.8),
  {
    what: 'memory after the request load',
    value: plain('rss', MEGABYTES_PER_MEBIBYTE),
    atMost: 160,
    unit: 'MB',
    rounds: STEADY,
  },
  {
    what: 'growth of memory at the end of a long load',
    value: plain('rss-growth'),
    atMost: 1.02,
    unit: 'x',
    rounds: ONCE,
  },
  {
    what: 'memory per idle watch, h1',
    value: plain('watch/h1'),
    atMost: 78,
    unit: 'KiB',
    rounds: STEADY,
  },
  {
    what: 'memory per idle watch, h2',
    value: plain('watch/h2'),
    atMost: 32,
    unit: 'KiB',
    rounds: STEADY,
  },
  {
    what: `added p99 at half load / ${OIDC_PROXY}`,
    value: addedRatio(OIDC_PROXY),
    atMost: 0.6,
    unit: 'x',
    rounds: NOISY,
  },
  {
    what: 'start until the first response',
    value: plain('start'),
    atMost: 220,
    unit: 'ms',
    rounds: NOISY,
  },
  {
    what: 'allocated per request, h1',
    value: plain('allocated/h1'),
    atMost: 25,
    unit: 'kB',
    rounds: STEADY,
  },
  {
    what: 'allocated per request, h2',
    value: plain('allocated/h2'),
    atMost: 31,
    unit: 'kB',
    rounds: STEADY,
  },
]

/** A table with one line per goal that was measured: the median of the rounds, and their range. */
export function verdicts(results: Results, rounds: number): string {
  const rows = goals.flatMap((goal) => {
    const values = Array.from({ length: rounds }, (_, i) => goal.value(results, i)).filter(
      (value) => value !== undefined,
    )
    const median = medianOf(values)
    if (median === undefined) return []
    const show = (value: number) => format(value, goal.unit)
    return [
      [
        goal.what,
        show(median),
        `${show(Math.min(...values))} - ${show(Math.max(...values))}`,
        show(goal.atMost),
        `${values.length} of ${goal.rounds}`,
        verdict(goal, median, values.length),
      ],
    ]
  })
  if (rows.length === 0) {
    return 'no goal can be evaluated: Gatehouse or the peer was not measured'
  }
  return formatTable([['goal', 'median', 'range', 'at most', 'rounds', 'result'], ...rows])
}

function verdict({ atMost, rounds }: Goal, measured: number, roundsRun: number): string {
  const over = (measured / atMost - 1) * 100
  const result = over <= 0 ? 'pass' : `FAIL by ${over.toFixed(0)} %`
  return roundsRun < rounds ? `${result}, too few rounds` : result
}

function format(value: number, unit: string): string {
  if (unit === 'x') return value.toFixed(2)
  return `${value.toFixed(unit === 'kB' ? 1 : 0)} ${unit}`
}

/** All measurements by name, each with the tools that it requires. */
import type { Measurement } from './measurement.ts'
import { bulk } from './measurements/bulk.ts'
import { cpu } from './measurements/cpu.ts'
import { latency } from './measurements/latency.ts'
import { memory } from './measurements/memory.ts'
import { start } from './measurements/start.ts'
import { tunnels } from './measurements/tunnels.ts'
import { watches } from './measurements/watches.ts'

/** What a measurement needs. */
interface Entry {
  readonly measure: Measurement
  readonly tools: readonly string[]
  /** Rounds that its goals need; as many are run by default. */
  readonly rounds: number
  /** Its goals are values of Gatehouse alone: by default the other peers are not measured. */
  readonly isOwn?: true
}

/** With fewer rounds, the median of the next run may well be on the other side of the limit. */
export const STEADY = 3
export const NOISY = 5

/** In the order in which each round takes them. */
export const measurements = {
  cpu: { measure: cpu, tools: ['wrk', 'h2load'], rounds: STEADY },
  latency: { measure: latency, tools: [], rounds: NOISY },
  bulk: { measure: bulk, tools: ['h2load'], rounds: STEADY },
  tunnels: { measure: tunnels, tools: [], rounds: STEADY },
  watches: { measure: watches, tools: ['wrk', 'h2load'], rounds: STEADY, isOwn: true },
  memory: { measure: memory, tools: ['wrk', 'h2load'], rounds: STEADY, isOwn: true },
  start: { measure: start, tools: [], rounds: NOISY },
} as const satisfies Record<string, Entry>

export type MeasurementName = keyof typeof measurements

export function entryOf(name: MeasurementName): Entry {
  return measurements[name]
}

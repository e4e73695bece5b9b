/** All measurements by name, each with the tools that it requires. */
import type { Measurement } from './measurement.ts'
import { bulk } from './measurements/bulk.ts'
import { cpu } from './measurements/cpu.ts'
import { latency } from './measurements/latency.ts'
import { memory } from './measurements/memory.ts'
import { start } from './measurements/start.ts'
import { tunnels } from './measurements/tunnels.ts'
import { watches } from './measurements/watches.ts'

/** In the order in which each round takes them. */
export const measurements = {
  cpu: { measure: cpu, tools: ['wrk', 'h2load'] },
  latency: { measure: latency, tools: [] },
  bulk: { measure: bulk, tools: ['h2load'] },
  tunnels: { measure: tunnels, tools: [] },
  watches: { measure: watches, tools: ['wrk', 'h2load'] },
  memory: { measure: memory, tools: ['wrk', 'h2load'] },
  start: { measure: start, tools: [] },
} as const satisfies Record<string, { measure: Measurement; tools: readonly string[] }>

export type MeasurementName = keyof typeof measurements

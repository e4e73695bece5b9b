/**
 * `--stages`: the cost of each stage of the pipeline. First in a process under load, where each row
 * has one stage more than the row above; then of each stage by itself in a loop, which is the minimum.
 */
import { join } from 'node:path'

import { microbenchmarks } from './micro.ts'
import { writeConfiguration } from './peers/gatehouse.ts'
import { undiciLoop } from './peers/node.ts'
import type { Peer } from './peers/peer.ts'
import { formatTable, type Results } from './results.ts'

const order = ['request', 'limits', 'authentication', 'authorization', 'audit'] as const

/** The bare loop, then listener and upstream alone, then one more stage each up to all of them. */
export const stagePeers: readonly Peer[] = [
  undiciLoop,
  stagePeer('listener + upstream', []),
  ...order.map((stage, i) => stagePeer(`+ ${stage}`, order.slice(0, i + 1))),
]

function stagePeer(name: string, stages: readonly string[]): Peer {
  return {
    name,
    what: `Gatehouse with ${stages.length === 0 ? 'no stages' : stages.join(', ')}`,
    protocols: ['h1', 'h2'],
    servesUpgrades: false,
    isCompiledAtRuntime: true,
    prepare: async () => undefined,
    command: async (world, port, directory) => ({
      file: process.execPath,
      args: [
        join(import.meta.dirname, 'node', 'stages.ts'),
        `--config=${await writeConfiguration(world, port, directory)}`,
        `--stages=${stages.join(',')}`,
      ],
    }),
  }
}

/** The table of the CPU of each row, and the difference to the row above. */
export function stageTable(results: Results): string {
  const rows = stagePeers.map(({ name }, i) => {
    const above = stagePeers[i - 1]?.name
    return [
      name,
      ...(['cpu/h1', 'cpu/h2'] as const).flatMap((metric) => {
        const value = results.median(name, metric)
        const before = above === undefined ? undefined : results.median(above, metric)
        const added = value === undefined || before === undefined ? undefined : value - before
        return [value?.toFixed(0) ?? '-', added === undefined ? '' : signed(added)]
      }),
    ]
  })
  return formatTable([['', 'CPU µs/req h1', 'added', 'CPU µs/req h2', 'added'], ...rows])
}

/** The table of the microseconds that each stage takes by itself, after warming up. */
export async function microbenchmarkTable(): Promise<string> {
  const rows = (await microbenchmarks()).map(({ what, microseconds }) => [
    what,
    microseconds.toFixed(2),
  ])
  return formatTable([['by itself, in a loop', 'µs'], ...rows])
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(0)}`
}

/** The processes of the bench: each has its own port and folder, and ends with the bench. */
import { mkdtemp } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { freePort } from '../dev/parts/free-ports.ts'
import { createProcessGroup } from '../dev/parts/process-group.ts'

export interface Command {
  file: string
  args: readonly string[]
}

export interface RunningProcess {
  pid: number
  url: string
  /** `performance.now()` at its start. */
  startedAt: number
  /** Rejects when the process ends without being stopped. */
  failed: Promise<never>
  stop: () => Promise<void>
  /** The bytes that it has allocated on the V8 heap so far, if it was started so that it counts them. */
  allocatedBytes: (() => Promise<number>) | undefined
}

/** A shell that prints its process ID and becomes the program, whose output goes to the log. */
const PRINT_PID_AND_EXEC = 'echo $$; exec "$0" "$@" >&2'

/** Starts the `command` for a port, by default a free one, and a new folder. Does not wait until it listens. */
export async function startProcess(
  name: string,
  command: (port: number, directory: string) => Promise<Command>,
  { countsAllocations = false, port }: { countsAllocations?: boolean; port?: number } = {},
): Promise<RunningProcess> {
  const plainName = name.replaceAll(/[^a-z0-9]+/g, '-')
  const directory = await mkdtemp(join(tmpdir(), `gatehouse-bench-${plainName}-`))
  const ownPort = port ?? (await freePort())
  const group = createProcessGroup(directory)
  try {
    const { file, args } = await command(ownPort, directory)
    const heapSocket = countsAllocations ? join(directory, 'heap') : undefined
    const program = [...(heapSocket === undefined ? [] : countingIn(heapSocket)), file, ...args]
    const startedAt = performance.now()
    const pid = await group.startAndReadLine(plainName, '/bin/sh', [
      '-c',
      PRINT_PID_AND_EXEC,
      ...program,
    ])
    return {
      pid: Number(pid),
      url: `https://127.0.0.1:${ownPort}`,
      startedAt,
      failed: group.failed,
      stop: group.stop,
      allocatedBytes: heapSocket === undefined ? undefined : () => numberFrom(heapSocket),
    }
  } catch (error) {
    await group.stop()
    throw error
  }
}

/** The words before a command of Node that let it count its allocations. */
function countingIn(socket: string): string[] {
  const statistics = join(import.meta.dirname, 'node', 'heap-statistics.ts')
  return ['env', `NODE_OPTIONS=--import=${statistics}`, `GATEHOUSE_BENCH_HEAP=${socket}`]
}

async function numberFrom(socket: string): Promise<number> {
  return Number(await text(connect(socket)))
}

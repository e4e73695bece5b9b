/** Processes of the bench: each on a port of its own, in a folder of its own, ended with the bench. */
import { mkdtemp } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createProcessGroup } from '../dev/parts/process-group.ts'

export interface Command {
  file: string
  args: readonly string[]
}

export interface RunningProcess {
  pid: number
  url: string
  /** `performance.now()` of its start. */
  startedAt: number
  /** Rejects when it ends by itself. */
  failed: Promise<never>
  stop: () => Promise<void>
}

/** The shell says its number and becomes the program, whose output goes to the log. */
const announce = 'echo $$; exec "$0" "$@" >&2'

/** Starts what `command` returns for a free port and a new folder; does not wait until it serves. */
export async function startProcess(
  name: string,
  command: (port: number, directory: string) => Promise<Command>,
): Promise<RunningProcess> {
  const plainName = name.replaceAll(/[^a-z0-9]+/g, '-')
  const directory = await mkdtemp(join(tmpdir(), `gatehouse-bench-${plainName}-`))
  const port = await freePort()
  const group = createProcessGroup(directory)
  try {
    const { file, args } = await command(port, directory)
    const startedAt = performance.now()
    const pid = await group.startAndReadLine(plainName, '/bin/sh', ['-c', announce, file, ...args])
    return {
      pid: Number(pid),
      url: `https://127.0.0.1:${port}`,
      startedAt,
      failed: group.failed,
      stop: group.stop,
    }
  } catch (error) {
    await group.stop()
    throw error
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Programs of the system that the bench uses where they are there, and the facts of the machine. */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Path of a program, or undefined. Looks into the sbin folders too, where Debian puts nginx. */
export async function findTool(name: string): Promise<string | undefined> {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  for (const folder of [...folders, '/usr/sbin', '/usr/local/sbin']) {
    const path = join(folder, name)
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (executable) return path
  }
  return undefined
}

/** One line each: on what the numbers were taken. */
export async function machineFacts(): Promise<string[]> {
  const processors = cpus()
  const gibibytes = (totalmem() / 2 ** 30).toFixed(0)
  return [
    `machine: ${processors.length} x ${processors[0]?.model.trim() ?? 'unknown CPU'}, ${gibibytes} GiB, Linux ${release()}`,
    `node ${process.version}, OpenSSL ${process.versions.openssl}; ${await firstLine('go', ['version'])}`,
    [
      await firstLine('wrk', ['-v']),
      await firstLine('h2load', ['--version']),
      await firstLine('nginx', ['-v']),
    ].join('; '),
  ]
}

async function firstLine(name: string, args: string[]): Promise<string> {
  const tool = await findTool(name)
  if (tool === undefined) return `no ${name}`
  // wrk ends with 1 after it has said its version.
  const { stdout, stderr } = await run(tool, args).catch((error: unknown) => {
    const failure = error as { stdout?: string; stderr?: string }
    return { stdout: failure.stdout ?? '', stderr: failure.stderr ?? '' }
  })
  return (stdout + stderr).split('\n')[0]?.replace(/ Copyright.*/, '') ?? name
}

/** Optional programs that the bench uses, and facts about the machine. */
import { execFile } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { delimiter } from 'node:path'
import { promisify } from 'node:util'

import { findProgram } from '../dev/find-program.ts'

const run = promisify(execFile)

/** The path of a program on the PATH or in the sbin folders, where Debian puts nginx; or undefined. */
export function findTool(name: string): Promise<string | undefined> {
  const folders = [process.env['PATH'] ?? '', '/usr/sbin', '/usr/local/sbin']
  return findProgram(name, folders.join(delimiter))
}

/** Lines that describe the machine and the programs with which the results were measured. */
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
  if (tool === undefined) return `${name} not found`
  // wrk exits with 1 after printing its version.
  const { stdout, stderr } = await run(tool, args).catch((error: unknown) => {
    const failure = error as { stdout?: string; stderr?: string }
    return { stdout: failure.stdout ?? '', stderr: failure.stderr ?? '' }
  })
  return (stdout + stderr).split('\n')[0]?.replace(/ Copyright.*/, '') ?? name
}

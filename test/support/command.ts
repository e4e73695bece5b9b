import { spawn, type SpawnOptions } from 'node:child_process'
import { text } from 'node:stream/consumers'

/** How a program ended and what it said. */
export interface CommandResult {
  /** -1 when a signal ended it. */
  code: number
  stdout: string
  stderr: string
}

/**
 * Runs a program to its end, with `input` on its stdin. Its exit code is part of the answer, not an
 * error; throws only when it cannot be started.
 */
export async function command(
  file: string,
  args: readonly string[],
  { input = '', ...options }: Omit<SpawnOptions, 'stdio'> & { input?: string } = {},
): Promise<CommandResult> {
  const child = spawn(file, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
  const code = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode) => resolve(exitCode ?? -1))
  })
  // A program that does not read its stdin may be gone before all is written.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await code, stdout, stderr }
}

/** As {@link command}, for programs that have to succeed: returns stdout, throws with stderr. */
export async function output(...parameters: Parameters<typeof command>): Promise<string> {
  const { code, stdout, stderr } = await command(...parameters)
  if (code !== 0) {
    const [file, args] = parameters
    throw new Error(`${file} ${args.join(' ')} ended with ${code}:\n${stderr}${stdout}`)
  }
  return stdout
}

import { spawn, type SpawnOptions } from 'node:child_process'
import { text } from 'node:stream/consumers'

/** The exit code and the output of a program. */
export interface CommandResult {
  /** -1 when a signal ended it. */
  code: number
  stdout: string
  stderr: string
}

/**
 * Runs a program to its end, with `input` on its stdin. A non-zero exit code is part of the result,
 * not an error; throws only when the program cannot be started.
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
  // A program that does not read its stdin may end before everything is written.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await code, stdout, stderr }
}

/** Like {@link command}, for programs that must succeed: returns stdout, throws with stderr. */
export async function output(...parameters: Parameters<typeof command>): Promise<string> {
  const { code, stdout, stderr } = await command(...parameters)
  if (code !== 0) {
    const [file, args] = parameters
    throw new Error(`${file} ${args.join(' ')} failed with exit code ${code}:\n${stderr}${stdout}`)
  }
  return stdout
}

/** A program that goes on until the test has seen enough of it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

import { onTestFinished } from 'vitest'

export interface ProgramEnd {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined
  readonly stdout: string
  readonly stderr: string
}

export interface RunningProgram {
  readonly stdout: string
  readonly stderr: string
  /**
   * Waits until stdout and stderr, one behind the other, fit; throws with both when it ends before
   * or after 30 seconds.
   */
  until(pattern: RegExp): Promise<string>
  write(text: string): void
  /** Ends its stdin. */
  endInput(): void
  /** Its end, whoever brings it about. */
  readonly ended: Promise<ProgramEnd>
  /** Sends a signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<ProgramEnd>
}

const PATIENCE_MS = 30_000

/** Starts one; it is killed when the test has finished, if it still runs then. */
export function startProgram(
  file: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> },
): RunningProgram {
  const child = spawn(file, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  const listeners = new Set<() => void>()
  const tell = (): void => {
    for (const listener of listeners) listener()
  }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text
      tell()
    })
  }
  child.stdin.on('error', () => undefined)
  let over = false
  const ended = once(child, 'close').then(([code]: (number | null)[]): ProgramEnd => {
    over = true
    tell()
    return { code: code ?? undefined, ...said }
  })
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended.catch(() => undefined)
  })

  return {
    get stdout() {
      return said.stdout
    },
    get stderr() {
      return said.stderr
    },
    until(pattern) {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const fail = (why: string): void => {
        reject(new Error(`${why} before ${String(pattern)}:\n${said.stdout}\n${said.stderr}`))
      }
      const look = (): void => {
        const text = `${said.stdout}\n${said.stderr}`
        if (pattern.test(text)) resolve(text)
        else if (over) fail('it ended')
      }
      const timer = setTimeout(() => fail('30 seconds were over'), PATIENCE_MS)
      listeners.add(look)
      look()
      return promise.finally(() => {
        clearTimeout(timer)
        listeners.delete(look)
      })
    },
    write: (text) => void child.stdin.write(text),
    endInput: () => void child.stdin.end(),
    ended,
    stop(signal = 'SIGINT') {
      child.kill(signal)
      return ended
    },
  }
}

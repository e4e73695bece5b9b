/** A program that runs until a test stops it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

import { onTestFinished } from 'vitest'

export interface ProgramEnd {
  /** Undefined if a signal ended the program. */
  readonly code: number | undefined
  readonly stdout: string
  readonly stderr: string
}

export interface RunningProgram {
  readonly stdout: string
  readonly stderr: string
  /**
   * Waits until stdout followed by stderr matches, and returns both; throws with both when the program
   * ends before, and after a minute.
   */
  until(pattern: RegExp): Promise<string>
  write(text: string): void
  /** Closes its stdin. */
  endInput(): void
  /** Resolves when the program ends for any reason. */
  readonly ended: Promise<ProgramEnd>
  /** Sends a signal and waits until the program ends. */
  stop(signal?: NodeJS.Signals): Promise<ProgramEnd>
}

const TIMEOUT_MS = 60_000

/** Starts a program. If it still runs when the test has finished, it is killed. */
export function startProgram(
  file: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> },
): RunningProgram {
  const child = spawn(file, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  const listeners = new Set<() => void>()
  const notify = (): void => {
    for (const listener of listeners) listener()
  }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
      notify()
    })
  }
  child.stdin.on('error', () => undefined)
  let over = false
  const ended = once(child, 'close').then(([code]: (number | null)[]): ProgramEnd => {
    over = true
    notify()
    return { code: code ?? undefined, ...output }
  })
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended.catch(() => undefined)
  })

  return {
    get stdout() {
      return output.stdout
    },
    get stderr() {
      return output.stderr
    },
    until(pattern) {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const fail = (reason: string): void => {
        reject(
          new Error(`${reason} before ${String(pattern)}:\n${output.stdout}\n${output.stderr}`),
        )
      }
      const check = (): void => {
        const text = `${output.stdout}\n${output.stderr}`
        if (pattern.test(text)) resolve(text)
        else if (over) fail('the program ended')
      }
      const timer = setTimeout(() => fail('a minute passed'), TIMEOUT_MS)
      listeners.add(check)
      check()
      return promise.finally(() => {
        clearTimeout(timer)
        listeners.delete(check)
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

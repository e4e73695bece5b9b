import { setTimeout as sleep } from 'node:timers/promises'

import { ConfigError, formatProblem } from '../config/problem.ts'
import type { LoadEnvironment } from '../gatehouse/load.ts'
import { startGatehouse, type Gatehouse } from '../gatehouse/serve.ts'
import { throttledLog } from '../log-throttle.ts'
import type { LossyOutput } from '../lossy-output.ts'
import { maskedText } from '../masked-text.ts'

export interface ServeOptions extends LoadEnvironment {
  readonly configFile: string
}

export interface ServeEffects {
  /** The caller flushes it before the process exits. */
  readonly stderr: LossyOutput
  /**
   * Registers the handler of SIGTERM and SIGINT, before anything listens; a second signal skips the waits
   * of the shutdown.
   */
  readonly onSignal: (handler: () => void) => void
  /** Registers the handler of SIGHUP, which must not end the process from the start on. */
  readonly onHangup: (handler: () => void) => void
  /** Registers the handler of Node's own warnings, in place of the one that writes synchronously. */
  readonly onWarning: (handler: (warning: Error) => void) => void
  /** Registers the handler of what libraries print with `console`, in place of printing it. */
  readonly onConsole: (handler: (text: string) => void) => void
  /** Called once when it listens. */
  readonly onListening: () => void
  /** Registers the handler of uncaught exceptions. */
  readonly onCrash: (handler: (error: unknown) => void) => void
}

/** How long a crashing Gatehouse tries to write its remaining audit records. */
const CRASH_DEADLINE_MS = 5_000
/** Messages of libraries that are kept until there is a log, and characters of each. */
const MAX_PRINTED = 20
const MAX_PRINTED_LENGTH = 1_000

/**
 * Runs until a signal; SIGHUP reloads. Exit codes: 0 for a clean shutdown, 1 if it could not start or crashed, 2 for a
 * configuration that is not valid. After an uncaught exception no state can be relied on, so Gatehouse
 * writes its audit records and exits.
 */
export async function serve(options: ServeOptions, effects: ServeEffects): Promise<number> {
  let started: Gatehouse | undefined
  const { promise: exitCode, resolve: exit } = Promise.withResolvers<number>()
  let signals = 0
  const shutDown = (now: boolean): void => void started?.close(now).then(() => exit(0))
  effects.onSignal(() => {
    signals += 1
    shutDown(signals > 1)
  })
  effects.onHangup(() => {
    started?.log.info({ signal: 'SIGHUP' }, 'reloading files that changed')
    started?.reload()
  })
  effects.onWarning((warning) => {
    started?.log.warn({ err: warning }, 'Node.js reported a warning')
  })
  const printed: string[] = []
  const logPrinted = (): void => {
    if (started === undefined) return
    for (const text of printed.splice(0)) {
      throttledLog(started.log).warn({ text }, 'a library printed a message')
    }
  }
  const passwords = new Set<string>()
  effects.onConsole((text) => {
    if (printed.length < MAX_PRINTED) printed.push(printedText(text, passwords))
    logPrinted()
  })
  let gatehouse: Gatehouse
  try {
    gatehouse = await startGatehouse({
      ...options,
      stderr: effects.stderr,
      onPassword: (password) => passwords.add(password),
    })
    started = gatehouse
    effects.onListening()
    logPrinted()
  } catch (error) {
    for (const text of printed) effects.stderr.write(`${text}\n`)
    effects.stderr.write(describeStartError(error))
    return error instanceof ConfigError ? 2 : 1
  }
  effects.onCrash((error) => {
    gatehouse.log.fatal({ err: error }, 'uncaught exception; shutting down')
    void Promise.race([gatehouse.close(true), sleep(CRASH_DEADLINE_MS)]).finally(() => exit(1))
  })
  // A signal has come while it started: nobody has been sent to it yet, so there is nothing to wait for.
  if (signals > 0) shutDown(true)
  return exitCode
}

/** What a library printed, without the passwords: a server may repeat in an error what it was sent. */
export function printedText(text: string, passwords: ReadonlySet<string>): string {
  return maskedText(text, passwords).slice(0, MAX_PRINTED_LENGTH)
}

/** Every problem on a line of its own, without a stack. */
export function describeStartError(error: unknown): string {
  if (error instanceof ConfigError) {
    const { problems } = error
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
    return `${problems.map(formatProblem).join('\n')}\n${count} in the configuration\n`
  }
  return `cannot start: ${error instanceof Error ? error.message : String(error)}\n`
}

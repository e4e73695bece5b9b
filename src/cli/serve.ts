import { setTimeout as sleep } from 'node:timers/promises'

import type { InClusterEnvironment } from '../config/environment.ts'
import { ConfigError, formatProblem } from '../config/problem.ts'
import { startGatehouse, type Gatehouse } from '../gatehouse/serve.ts'

export interface ServeOptions {
  readonly configFile: string
  readonly inCluster: InClusterEnvironment
  readonly stderr: { write(text: string): unknown }
  /** Registers what ends Gatehouse; a second signal ends it at once. */
  readonly onSignal: (handler: () => void) => void
  /** Registers what is told of an exception that nobody caught. */
  readonly onCrash: (handler: (error: unknown) => void) => void
}

/** How long a crashing Gatehouse tries to get its audit records out. */
const CRASH_MS = 5_000

/**
 * Runs until a signal. Exit code: 0 ended cleanly, 1 could not start or crashed, 2 bad
 * configuration. After an exception that nobody caught no state can be relied on, so it ends, but
 * not without the audit records of what it did.
 */
export async function serve(options: ServeOptions): Promise<number> {
  let gatehouse: Gatehouse
  try {
    gatehouse = await startGatehouse(options)
  } catch (error) {
    options.stderr.write(describeStartError(error))
    return error instanceof ConfigError ? 2 : 1
  }
  return new Promise((resolve) => {
    let signals = 0
    options.onSignal(() => {
      signals += 1
      if (signals === 1) void gatehouse.close().then(() => resolve(0))
      else void gatehouse.close(true)
    })
    options.onCrash((error) => {
      gatehouse.log.fatal({ err: error }, 'an exception that nobody caught; ending')
      void Promise.race([gatehouse.close(true), sleep(CRASH_MS)]).finally(() => resolve(1))
    })
  })
}

/** All problems, one a line, and nothing of a stack. */
export function describeStartError(error: unknown): string {
  if (error instanceof ConfigError) {
    const { problems } = error
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
    return `${problems.map(formatProblem).join('\n')}\n${count} in the configuration\n`
  }
  return `cannot start: ${error instanceof Error ? error.message : String(error)}\n`
}

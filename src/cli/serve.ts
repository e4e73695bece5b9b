import { setTimeout as sleep } from 'node:timers/promises'

import type { InClusterEnvironment } from '../config/environment.ts'
import { ConfigError, formatProblem } from '../config/problem.ts'
import { startGatehouse, type Gatehouse } from '../gatehouse/serve.ts'

export interface ServeOptions {
  readonly configFile: string
  readonly inCluster: InClusterEnvironment
}

export interface ServeEffects {
  readonly stderr: { write(text: string): unknown }
  /** Registers the handler of SIGTERM and SIGINT; a second signal skips the waits of the shutdown. */
  readonly onSignal: (handler: () => void) => void
  /** Registers the handler of uncaught exceptions. */
  readonly onCrash: (handler: (error: unknown) => void) => void
}

/** How long a crashing Gatehouse tries to write its remaining audit records. */
const CRASH_DEADLINE_MS = 5_000

/**
 * Runs until a signal. Exit codes: 0 for a clean shutdown, 1 if it could not start or crashed, 2 for a
 * configuration that is not valid. After an uncaught exception no state can be relied on, so Gatehouse
 * writes its audit records and exits.
 */
export async function serve(options: ServeOptions, effects: ServeEffects): Promise<number> {
  let gatehouse: Gatehouse
  try {
    gatehouse = await startGatehouse(options)
  } catch (error) {
    effects.stderr.write(describeStartError(error))
    return error instanceof ConfigError ? 2 : 1
  }
  return new Promise((resolve) => {
    let signals = 0
    effects.onSignal(() => {
      signals += 1
      if (signals === 1) void gatehouse.close().then(() => resolve(0))
      else void gatehouse.close(true)
    })
    effects.onCrash((error) => {
      gatehouse.log.fatal({ err: error }, 'uncaught exception; shutting down')
      void Promise.race([gatehouse.close(true), sleep(CRASH_DEADLINE_MS)]).finally(() => resolve(1))
    })
  })
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

import type { InClusterEnvironment } from '../config/environment.ts'
import { ConfigError, formatProblem } from '../config/problem.ts'
import { loadAll } from '../gatehouse/load.ts'
import { describeStartError } from './serve.ts'

export interface ValidateOptions {
  readonly configFile: string
  readonly inCluster: InClusterEnvironment
}

export interface ValidateEffects {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

/**
 * Loads everything that `serve` loads, and starts nothing. Exit codes: 0 for a valid configuration, 2
 * for one that is not valid, 1 for any other error.
 */
export async function validate(
  options: ValidateOptions,
  effects: ValidateEffects,
): Promise<number> {
  try {
    const { warnings } = loadAll(options.configFile, options.inCluster)
    // In one text, which is taken whatever its length.
    const text = warnings.map((warning) => `warning: ${formatProblem(warning)}\n`).join('')
    if (text !== '') effects.stderr.write(text)
    effects.stdout.write(`${options.configFile} is valid\n`)
    return 0
  } catch (error) {
    effects.stderr.write(describeStartError(error))
    return error instanceof ConfigError ? 2 : 1
  }
}

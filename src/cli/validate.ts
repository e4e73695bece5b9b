import type { InClusterEnvironment } from '../config/environment.ts'
import { ConfigError, formatProblem } from '../config/problem.ts'
import { loadAll } from '../gatehouse/load.ts'
import { describeStartError } from './serve.ts'

export interface ValidateOptions {
  readonly configFile: string
  readonly inCluster: InClusterEnvironment
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

/**
 * Loads everything that `serve` would, and starts nothing. Exit code: 0 good, 2 bad configuration, 1
 * for what is no fault of it.
 */
export async function validate(options: ValidateOptions): Promise<number> {
  try {
    const { warnings } = loadAll(options.configFile, options.inCluster)
    for (const warning of warnings) {
      options.stderr.write(`warning: ${formatProblem(warning)}\n`)
    }
    options.stdout.write(`${options.configFile} is valid\n`)
    return 0
  } catch (error) {
    options.stderr.write(describeStartError(error))
    return error instanceof ConfigError ? 2 : 1
  }
}

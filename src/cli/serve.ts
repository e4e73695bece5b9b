import { ConfigError, formatProblem } from '../config/problem.ts'
import type { InClusterEnvironment } from '../config/environment.ts'
import { startGatehouse, type Gatehouse } from '../server/serve.ts'

export interface ServeOptions {
  readonly configFile: string
  readonly inCluster: InClusterEnvironment
  readonly stderr: { write(text: string): unknown }
  /** Registers what ends Gatehouse; a second signal ends it at once. */
  readonly onSignal: (handler: () => void) => void
}

/** Runs until a signal. Exit code: 0 ended cleanly, 1 could not start, 2 bad configuration. */
export async function serve(options: ServeOptions): Promise<number> {
  let gatehouse: Gatehouse
  try {
    gatehouse = await startGatehouse(options)
  } catch (error) {
    options.stderr.write(describeStartError(error))
    return error instanceof ConfigError ? 2 : 1
  }
  await new Promise<void>((resolve) => {
    let signals = 0
    options.onSignal(() => {
      signals += 1
      if (signals === 1) void gatehouse.close().then(resolve)
      else void gatehouse.close(true)
    })
  })
  return 0
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

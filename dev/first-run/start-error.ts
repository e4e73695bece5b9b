import { describeStartError } from '../../src/cli/serve.ts'
import { ConfigError, formatProblem, type ConfigProblem } from '../../src/config/problem.ts'
import { BindError } from '../../src/listener/bind-error.ts'

/** Fields of the generated gatehouse.yaml that come from an option of `npm start`. */
const options = {
  'listener.port': '--port',
  'probes.port': '--probes-port',
  'upstream.kubeconfig': '--kubeconfig',
  'state.redis': '--redis',
} as const

/**
 * Why a first run cannot start, in lines for a terminal. Where Gatehouse's own message names a field
 * of the generated gatehouse.yaml, this one names the option.
 */
export function describeFirstRunError(error: unknown): string {
  if (error instanceof ConfigError) return `${error.problems.map(describe).join('\n')}\n`
  if (!(error instanceof BindError)) return describeStartError(error)
  return Object.entries(options).reduce(
    (text, [field, option]) => text.replaceAll(field, option),
    describeStartError(error),
  )
}

function describe(problem: ConfigProblem): string {
  const option = Object.entries(options).find(([field]) => field === problem.field)?.[1]
  if (option === undefined) return formatProblem(problem)
  return `cannot start: ${option}: ${problem.message} (${problem.fix})`
}

import { ConfigError, formatProblem, type ConfigProblem } from '../config/problem.ts'
import { checkAll, loadAll, type LoadEnvironment } from '../gatehouse/load.ts'
import { runOnlineChecks, type OnlineCheck } from '../gatehouse/online-checks.ts'
import { createLog } from '../log.ts'
import { oneLine } from '../one-line.ts'
import { describeStartError } from './serve.ts'

export interface ValidateOptions extends LoadEnvironment {
  readonly configFile: string
  /** Whether the API server, issuers, directories and Redis are asked, too. */
  readonly online: boolean
  /** By default, lines for people. */
  readonly output?: ValidateOutput | undefined
}

export type ValidateOutput = 'text' | 'json'

export interface ValidateEffects {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
  /** Called with each password that a server may repeat, and a library then prints. */
  readonly onPassword?: (password: string) => void
}

interface Result {
  readonly warnings: readonly ConfigProblem[]
  /** Undefined: none were run. */
  readonly checks?: readonly OnlineCheck[] | undefined
  /** A ConfigError for a configuration that is not valid. */
  readonly error?: unknown
}

/**
 * Loads everything that `serve` loads, and starts nothing. A pod's service account is needed only for
 * `online`. Exit codes: 0 for a valid configuration, 2 for one that is not valid, 1 for an online check
 * that failed and for any other error.
 */
export async function validate(
  options: ValidateOptions,
  effects: ValidateEffects,
): Promise<number> {
  const result = await resultOf(options, effects)
  const write = options.output === 'json' ? writeJson : writeText
  write(options.configFile, result, effects)
  if (result.error !== undefined) return result.error instanceof ConfigError ? 2 : 1
  return failedOf(result).length === 0 ? 0 : 1
}

async function resultOf(options: ValidateOptions, effects: ValidateEffects): Promise<Result> {
  const { configFile } = options
  let warnings: readonly ConfigProblem[] = []
  try {
    if (!options.online) return { warnings: checkAll(configFile, options) }
    const loaded = loadAll(configFile, options)
    warnings = loaded.warnings
    return {
      warnings,
      checks: await runOnlineChecks(loaded, {
        log: createLog({ level: 'silent' }),
        onPassword: effects.onPassword ?? (() => undefined),
      }),
    }
  } catch (error) {
    return { warnings, error }
  }
}

function failedOf({ checks = [] }: Result): readonly OnlineCheck[] {
  return checks.filter(({ problem }) => problem !== undefined)
}

function writeText(configFile: string, result: Result, { stdout, stderr }: ValidateEffects): void {
  const { warnings, checks = [], error } = result
  // In one text, which is taken whatever its length.
  const text = warnings.map((warning) => `warning: ${formatProblem(warning)}\n`).join('')
  if (text !== '') stderr.write(text)
  if (error !== undefined) {
    stderr.write(describeStartError(error))
    return
  }
  const passed = checks.filter(({ problem }) => problem === undefined)
  const ok = passed.map(({ name }) => `[+]${name} ok\n`).join('')
  stdout.write(`${configFile} is valid\n${ok}`)
  const failed = failedOf(result)
  if (failed.length === 0) return
  const lines = failed
    .map(({ name, problem = '' }) => `[-]${name} failed: ${oneLine(problem)}\n`)
    .join('')
  const count = failed.length === 1 ? '1 online check' : `${failed.length} online checks`
  stderr.write(`${lines}${count} failed\n`)
}

/** One line, and everything in it, so that a program need not read the other output. */
function writeJson(config: string, result: Result, { stdout }: ValidateEffects): void {
  const { warnings, checks, error } = result
  const isInvalid = error instanceof ConfigError
  const report = {
    config,
    valid: error === undefined,
    problems: isInvalid ? error.problems.map(valueOf) : [],
    warnings: warnings.map(valueOf),
    ...(checks === undefined
      ? {}
      : {
          checks: checks.map(({ name, problem }) => ({ name, ok: problem === undefined, problem })),
        }),
    ...(error === undefined || isInvalid ? {} : { error: describeStartError(error).trim() }),
  }
  stdout.write(`${JSON.stringify(report)}\n`)
}

/** A place that is not known is left out. */
function valueOf({ file, line, column, field, message, fix }: ConfigProblem): object {
  return { file, line, column, field, message, fix }
}

import { ConfigError, formatProblem, type ConfigProblem } from '../config/problem.ts'
import { checkAll, loadAll, type LoadEnvironment } from '../gatehouse/load.ts'
import { runOnlineChecks } from '../gatehouse/online-checks.ts'
import { createLog } from '../log.ts'
import { describeStartError } from './serve.ts'

export interface ValidateOptions extends LoadEnvironment {
  readonly configFile: string
  /** Whether the API server, issuers, directories and Redis are asked, too. */
  readonly online: boolean
}

export interface ValidateEffects {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
  /** Called with each password that a server may repeat, and a library then prints. */
  readonly onPassword?: (password: string) => void
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
  try {
    return options.online ? await validateOnline(options, effects) : validateFiles(options, effects)
  } catch (error) {
    effects.stderr.write(describeStartError(error))
    return error instanceof ConfigError ? 2 : 1
  }
}

function validateFiles(options: ValidateOptions, effects: ValidateEffects): number {
  const { configFile } = options
  reportValid(configFile, checkAll(configFile, options), effects)
  return 0
}

async function validateOnline(options: ValidateOptions, effects: ValidateEffects): Promise<number> {
  const loaded = loadAll(options.configFile, options)
  reportValid(options.configFile, loaded.warnings, effects)
  const checks = await runOnlineChecks(loaded, {
    log: createLog({ level: 'silent' }),
    onPassword: effects.onPassword ?? (() => undefined),
  })
  const passed = checks.filter(({ problem }) => problem === undefined)
  const failed = checks.filter(({ problem }) => problem !== undefined)
  effects.stdout.write(passed.map(({ name }) => `[+]${name} ok\n`).join(''))
  if (failed.length === 0) return 0
  const lines = failed.map(({ name, problem }) => `[-]${name} failed: ${problem}\n`).join('')
  const count = failed.length === 1 ? '1 online check' : `${failed.length} online checks`
  effects.stderr.write(`${lines}${count} failed\n`)
  return 1
}

function reportValid(
  configFile: string,
  warnings: readonly ConfigProblem[],
  { stdout, stderr }: ValidateEffects,
): void {
  // In one text, which is taken whatever its length.
  const text = warnings.map((warning) => `warning: ${formatProblem(warning)}\n`).join('')
  if (text !== '') stderr.write(text)
  stdout.write(`${configFile} is valid\n`)
}

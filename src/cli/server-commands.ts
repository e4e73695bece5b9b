/** The commands of the server as a process runs them: with its outputs and signals. */
import { format } from 'node:util'
import { setFlagsFromString } from 'node:v8'

import { proxyFrom } from '../config/egress-proxy.ts'
import { inClusterFrom } from '../config/environment.ts'
import type { LoadEnvironment } from '../gatehouse/load.ts'
import { createStderr } from '../log.ts'
import { createLossyOutput } from '../lossy-output.ts'
import { oneLine } from '../one-line.ts'
import { standardOutput } from '../output.ts'
import { resolveConfigFile } from './config-file.ts'
import { printedText, serve } from './serve.ts'
import { validate, type ValidateOutput } from './validate.ts'

/** How long the last lines may take to be read before the process exits. */
const FLUSH_MS = 2_000
/** How much the heap of the server may grow before V8 collects it, which saves memory under load. */
const HEAP_GROWING_PERCENT = 25

/**
 * Limits how much the heap of this process grows between collections. Call it once the server listens. If the
 * flag is set as an option of Node, or before the server is loaded, V8 rejects the code cache, which was made
 * without it. If it is set during the start, V8 collects more often during it.
 */
export function limitHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`)
}

/**
 * Runs `serve`; returns its exit code once the last lines were read.
 *
 * @param onListening called once when it listens
 */
export async function runServe(
  config: string,
  host: NodeJS.Process,
  onListening: () => void,
): Promise<number> {
  const stderr = createStderr()
  const exitCode = await serve(
    { configFile: configFile(config, host), ...environmentOf(host) },
    {
      stderr,
      onSignal: (handler) => {
        host.on('SIGTERM', handler)
        host.on('SIGINT', handler)
      },
      onHangup: (handler) => host.on('SIGHUP', handler),
      onWarning: (handler) => {
        host.removeAllListeners('warning')
        host.on('warning', handler)
      },
      onConsole: takeConsole,
      onListening,
      onCrash: (handler) => host.on('uncaughtException', handler),
    },
  )
  await stderr.flush(FLUSH_MS)
  return exitCode
}

/** The options of `validate`, as commander has them. */
export interface ValidateArguments {
  readonly config: string
  readonly online?: boolean
  readonly output: ValidateOutput
}

/** Runs `validate`; returns its exit code once the last lines were read. */
export async function runValidate(
  { config, online = false, output }: ValidateArguments,
  host: NodeJS.Process,
): Promise<number> {
  const stderr = createStderr()
  const stdout = createLossyOutput(
    {},
    { output: { write: (bytes) => standardOutput(1).write(bytes) } },
  )
  const passwords = new Set<string>()
  takeConsole((text) => stderr.write(`${oneLine(printedText(text, passwords))}\n`))
  const exitCode = await validate(
    { configFile: configFile(config, host), ...environmentOf(host), online, output },
    { stdout, stderr, onPassword: (password) => passwords.add(password) },
  )
  await Promise.all([stdout.flush(FLUSH_MS), stderr.flush(FLUSH_MS)])
  return exitCode
}

/** Passes on what libraries print, in place of printing it. */
function takeConsole(handler: (text: string) => void): void {
  const print = (...values: unknown[]): void => handler(format(...values))
  Object.assign(console, { debug: print, error: print, info: print, log: print, warn: print })
}

function environmentOf({ env }: NodeJS.Process): LoadEnvironment {
  return { inCluster: inClusterFrom(env), proxy: proxyFrom(env) }
}

function configFile(name: string, host: NodeJS.Process): string {
  return resolveConfigFile(name, { cwd: host.cwd(), env: host.env })
}

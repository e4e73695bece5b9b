#!/usr/bin/env node
/** The command line: argv in, exit code out. Only this file and start.ts read `process`. */
import { readFileSync } from 'node:fs'

import { Command, CommanderError } from 'commander'

import { resolveConfigFile } from './cli/config-file.ts'
import { serve } from './cli/serve.ts'
import { validate } from './cli/validate.ts'
import { proxyFrom } from './config/egress-proxy.ts'
import { inClusterFrom } from './config/environment.ts'
import type { LoadEnvironment } from './gatehouse/load.ts'
import { createStderr } from './log.ts'
import { createLossyOutput } from './lossy-output.ts'
import { standardOutput } from './output.ts'

/** How long the last lines may take to be read before the process exits. */
const FLUSH_MS = 2_000

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string }

const configFile = (name: string): string =>
  resolveConfigFile(name, { cwd: process.cwd(), env: process.env })

const environment = (): LoadEnvironment => ({
  inCluster: inClusterFrom(process.env),
  proxy: proxyFrom(process.env),
})

const stderr = createStderr()
// Opened with the first text: with the audit sink `stdout`, the output belongs to the audit log.
const stdout = createLossyOutput(
  {},
  { output: { write: (bytes) => standardOutput(1).write(bytes) } },
)

/** Exits once the last lines were read, or nobody has read them for some time. */
async function exit(code: number): Promise<never> {
  await Promise.all([stdout.flush(FLUSH_MS), stderr.flush(FLUSH_MS)])
  return process.exit(code)
}

const program = new Command('gatehouse')
  .description('An authenticating reverse proxy in front of kube-apiserver.')
  .version(version)
  .showHelpAfterError()
  .configureOutput({
    writeOut: (text) => stdout.write(text),
    writeErr: (text) => stderr.write(text),
  })
  .exitOverride()

program
  .command('serve')
  .description('run Gatehouse until SIGTERM or SIGINT; SIGHUP reloads files that changed')
  .requiredOption('--config <file>', 'path of the GatehouseConfiguration file')
  .action(async ({ config }: { config: string }) => {
    const exitCode = await serve(
      { configFile: configFile(config), ...environment() },
      {
        stderr,
        onSignal: (handler) => {
          process.on('SIGTERM', handler)
          process.on('SIGINT', handler)
        },
        onHangup: (handler) => process.on('SIGHUP', handler),
        onWarning: (handler) => {
          process.removeAllListeners('warning')
          process.on('warning', handler)
        },
        onCrash: (handler) => process.on('uncaughtException', handler),
      },
    )
    await exit(exitCode)
  })

program
  .command('validate')
  .description(
    'check the configuration and every file that it names; exits with 2 if there are problems',
  )
  .requiredOption('--config <file>', 'path of the GatehouseConfiguration file')
  .option('--online', 'ask the API server and the issuers, too; exits with 1 if a check fails')
  .action(async ({ config, online = false }: { config: string; online?: boolean }) => {
    const exitCode = await validate(
      { configFile: configFile(config), ...environment(), online },
      { stdout, stderr },
    )
    await exit(exitCode)
  })

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  // Exits of commander itself: 0 for --help and --version, otherwise a usage error.
  await exit(error.exitCode === 0 ? 0 : 2)
}

#!/usr/bin/env node
/** The command line: argv in, exit code out. Only this file and start.ts read `process`. */
import { readFileSync } from 'node:fs'

import { Command } from 'commander'

import { resolveConfigFile } from './cli/config-file.ts'
import { serve } from './cli/serve.ts'
import { validate } from './cli/validate.ts'
import { inClusterFrom } from './config/environment.ts'

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string }

const configFile = (name: string): string =>
  resolveConfigFile(name, { cwd: process.cwd(), env: process.env })

const program = new Command('gatehouse')
  .description('An authenticating reverse proxy in front of kube-apiserver.')
  .version(version)
  .showHelpAfterError()
  .exitOverride((error) => {
    // Exits of commander itself: 0 for --help and --version, otherwise a usage error.
    process.exit(error.exitCode === 0 ? 0 : 2)
  })

program
  .command('serve')
  .description('run Gatehouse until SIGTERM or SIGINT')
  .requiredOption('--config <file>', 'path of the GatehouseConfiguration file')
  .action(async ({ config }: { config: string }) => {
    const exitCode = await serve(
      { configFile: configFile(config), inCluster: inClusterFrom(process.env) },
      {
        stderr: process.stderr,
        onSignal: (handler) => {
          process.on('SIGTERM', handler)
          process.on('SIGINT', handler)
        },
        onCrash: (handler) => process.on('uncaughtException', handler),
      },
    )
    process.exit(exitCode)
  })

program
  .command('validate')
  .description(
    'check the configuration and every file that it names; exits with 2 if there are problems',
  )
  .requiredOption('--config <file>', 'path of the GatehouseConfiguration file')
  .action(async ({ config }: { config: string }) => {
    process.exitCode = await validate(
      { configFile: configFile(config), inCluster: inClusterFrom(process.env) },
      { stdout: process.stdout, stderr: process.stderr },
    )
  })

await program.parseAsync()

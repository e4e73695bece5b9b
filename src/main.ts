/** The command line: argv in, exit code out. Only this file and start.ts read `process`. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

import { Command, CommanderError, Option } from 'commander'

import { nodeHost } from './client/node-host.ts'
import { addUserCommands } from './client/program.ts'
import type { ValidateArguments } from './cli/server-commands.ts'
import { createLossyOutput } from './lossy-output.ts'
import { standardOutput } from './output.ts'

/** How long the last lines may take to be read before the process exits. */
const FLUSH_MS = 2_000

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string }

// Opened with the first text: with the audit sink `stdout`, the output belongs to the audit log.
const outputTo = (descriptor: 1 | 2) =>
  createLossyOutput({}, { output: { write: (bytes) => standardOutput(descriptor).write(bytes) } })
const [stdout, stderr] = [outputTo(1), outputTo(2)]

/** Exits once the last lines were read, or nobody has read them for some time. */
async function exit(code: number): Promise<never> {
  await Promise.all([stdout.flush(FLUSH_MS), stderr.flush(FLUSH_MS)])
  return process.exit(code)
}

const script = process.argv[1] ?? ''
// kubectl runs `kubectl-gatehouse` as its plugin.
const name = basename(script) === 'kubectl-gatehouse' ? 'kubectl gatehouse' : 'gatehouse'

const program = new Command(name)
  .description('An authenticating reverse proxy in front of kube-apiserver.')
  .version(version)
  .showHelpAfterError('Add --help to see the options and examples.')
  .configureOutput({
    writeOut: (text) => stdout.write(text),
    writeErr: (text) => stderr.write(text),
  })
  .exitOverride()

program.commandsGroup('For users:')
addUserCommands(program, nodeHost(process, process.argv.slice(3)), exit)

program.commandsGroup('For administrators:')
program
  .command('serve')
  .description('run Gatehouse until SIGTERM or SIGINT; SIGHUP reloads files that changed')
  .requiredOption('--config <file>', 'path of the GatehouseConfiguration file')
  .addHelpText('after', '\nExample:\n  gatehouse serve --config gatehouse.yaml\n')
  .action(async ({ config }: { config: string }) => {
    const { limitHeapGrowth, runServe } = await import('./cli/server-commands.ts')
    await exit(await runServe(config, process, limitHeapGrowth))
  })

program
  .command('validate')
  .description(
    'check the configuration and every file that it names; exits with 2 if there are problems',
  )
  .requiredOption('--config <file>', 'path of the GatehouseConfiguration file')
  .option(
    '--online',
    'ask the API server, issuers, directories and Redis, too; exits with 1 if a check fails',
  )
  .addOption(
    new Option('--output <format>', 'format of the result')
      .choices(['text', 'json'])
      .default('text'),
  )
  .addHelpText('after', '\nExample:\n  gatehouse validate --config gatehouse.yaml --online\n')
  .action(async (options: ValidateArguments) => {
    const { runValidate } = await import('./cli/server-commands.ts')
    await exit(await runValidate(options, process))
  })

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  // Exits of commander itself: 0 for --help and --version, otherwise a usage error.
  await exit(error.exitCode === 0 ? 0 : 2)
}

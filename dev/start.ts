/** `npm start`: Gatehouse with everything around it that a first look needs. */
import { once } from 'node:events'
import { join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { jsonSummary, textSummary } from './first-run/summary.ts'

interface Options {
  port: number
  probesPort: number
  kubeconfig?: string
  cluster?: true
  output: 'text' | 'json'
}

const program = new Command('npm start --')
  .description(
    'Start Gatehouse on loopback with development certificates, an identity provider and an API server behind it',
  )
  .option('--port <port>', 'where Gatehouse listens; 0: any free port', parsePort, 0)
  .option('--probes-port <port>', 'where /livez, /readyz and /metrics are', parsePort, 0)
  .addOption(
    new Option(
      '--kubeconfig <file>',
      'put Gatehouse before this cluster; a certificate or token has to be in it (docs/installing.md)',
    ).conflicts('cluster'),
  )
  .option('--cluster', 'put it before a real control plane, built first where that is needed')
  .addOption(
    new Option('--output <format>', 'what is printed when all of it runs')
      .choices(['text', 'json'])
      .default('text'),
  )
  .showHelpAfterError()
  .action(run)

async function run(options: Options): Promise<void> {
  // Again and again: in a terminal npm passes on the Ctrl-C that this process was sent already.
  const end = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => end.abort())
  }
  whenNpmIsGone(() => end.abort())
  const ended = once(end.signal, 'abort')
  const cleanup = new AsyncDisposableStack()
  try {
    await Promise.race([untilItFails(options, cleanup), ended])
  } catch (error) {
    const { describeFirstRunError } = await import('./first-run/start-error.ts')
    process.stderr.write(describeFirstRunError(error))
    process.exitCode = 1
  }
  await cleanup.disposeAsync()
  // What was still being started when the signal came would keep the process.
  process.exit()
}

/** Starts, prints, and goes on until something that must run does not. */
async function untilItFails(options: Options, cleanup: AsyncDisposableStack): Promise<never> {
  if (options.cluster === true) {
    console.error(
      'Starting a control plane; the first time its parts are built: about ten minutes, and 6 GB of disk.',
    )
  }
  // Only now: help and mistakes in the options need not wait for all of Gatehouse to be loaded.
  const { startEnvironment } = await import('./first-run/environment.ts')
  const environment = await startEnvironment(
    {
      stateFolder: join(import.meta.dirname, '..', '.gatehouse'),
      port: options.port,
      probesPort: options.probesPort,
      kubeconfig: options.kubeconfig,
      cluster: options.cluster ?? false,
      tell: (notice) => console.error(notice),
    },
    cleanup,
  )
  console.log(
    options.output === 'json'
      ? jsonSummary(environment)
      : textSummary(environment, process.env['PATH'] ?? ''),
  )
  return environment.upstream.failed ?? new Promise<never>(() => undefined)
}

/**
 * npm runs a script in a shell, and a shell that is ended by a signal for npm alone passes nothing on
 * to what it runs. Without npm a parent may well go, as when a script leaves this in the background.
 */
function whenNpmIsGone(callback: () => void): void {
  if (process.env['npm_lifecycle_event'] === undefined) return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid !== parent) callback()
  }, 250)
  timer.unref()
}

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new InvalidArgumentError('a port is a number from 0 to 65535')
}

await program.parseAsync()

/** `npm start`: starts Gatehouse with everything that a first run needs around it. */
import { once } from 'node:events'
import { join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { jsonSummary, textSummary } from './first-run/summary.ts'

const PARENT_POLL_MS = 250

interface Options {
  port: number
  probesPort: number
  kubeconfig?: string
  cluster?: true
  redis?: true
  output: 'text' | 'json'
}

const program = new Command('npm start --')
  .description(
    'Start Gatehouse on loopback, with development certificates, an identity provider and an API server',
  )
  .option('--port <port>', 'port that Gatehouse listens on; 0 means any free port', parsePort, 0)
  .option('--probes-port <port>', 'port of /livez, /readyz and /metrics', parsePort, 0)
  .addOption(
    new Option(
      '--kubeconfig <file>',
      'use the API server of this kubeconfig, which must contain a certificate or a token (docs/installing.md)',
    ).conflicts('cluster'),
  )
  .option('--cluster', 'use a real control plane, which is built first if necessary')
  .option('--redis', 'start a Redis (Debian package redis-server), and two replicas that share it')
  .addOption(
    new Option('--output <format>', 'format of the summary that is printed when everything runs')
      .choices(['text', 'json'])
      .default('text'),
  )
  .showHelpAfterError()
  .action(run)

async function run(options: Options): Promise<void> {
  // Not `once`: in a terminal, npm forwards the Ctrl-C that this process has already received.
  const end = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => end.abort())
  }
  onParentExit(() => end.abort())
  const ended = once(end.signal, 'abort')
  const cleanup = new AsyncDisposableStack()
  try {
    await Promise.race([runUntilFailure(options, cleanup), ended])
  } catch (error) {
    const { describeFirstRunError } = await import('./first-run/start-error.ts')
    process.stderr.write(describeFirstRunError(error))
    process.exitCode = 1
  }
  await cleanup.disposeAsync()
  // Something may still be starting: without this, it would keep the process alive.
  process.exit()
}

/** Starts everything, prints the summary, and rejects when something ends that must run. */
async function runUntilFailure(options: Options, cleanup: AsyncDisposableStack): Promise<never> {
  if (options.cluster === true) {
    console.error(
      'Starting a control plane. The first run builds its parts: this takes about ten minutes and 6 GB of disk.',
    )
  }
  // Imported only now, so that --help and option errors need not wait until Gatehouse is loaded.
  const { startEnvironment } = await import('./first-run/environment.ts')
  const environment = await startEnvironment(
    {
      stateFolder: join(import.meta.dirname, '..', '.gatehouse'),
      port: options.port,
      probesPort: options.probesPort,
      kubeconfig: options.kubeconfig,
      cluster: options.cluster ?? false,
      redis: options.redis ?? false,
    },
    { cleanup, notify: (notice) => console.error(notice) },
  )
  console.log(
    options.output === 'json'
      ? jsonSummary(environment)
      : await textSummary(environment, process.env['PATH'] ?? ''),
  )
  const never = new Promise<never>(() => undefined)
  const { upstream, second } = environment
  return Promise.race([upstream.failed ?? never, second?.failed ?? never])
}

/**
 * Calls back when this process runs under npm and its parent ends. npm runs a script in a shell, and
 * a shell that a signal to npm ends does not pass the signal on. Without npm, a parent may end while
 * this process goes on, for example when a script starts it in the background.
 */
function onParentExit(callback: () => void): void {
  if (process.env['npm_lifecycle_event'] === undefined) return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid !== parent) callback()
  }, PARENT_POLL_MS)
  timer.unref()
}

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new InvalidArgumentError('must be a port number from 0 to 65535')
}

await program.parseAsync()

/** The commands for users, as the command line shows them. What they do is loaded when they run. */
import { InvalidArgumentError, Option, type Command } from 'commander'

import { completionScript, SHELLS, type Shell } from './completion.ts'
import { ClientFailure } from './failure.ts'
import type { ClientHost } from './host.ts'

type Commands = typeof import('./commands.ts')

/**
 * Adds the commands to a program.
 *
 * @param exit ends the process with an exit code
 */
export function addUserCommands(
  program: Command,
  host: ClientHost,
  exit: (code: number) => Promise<never>,
): void {
  const run = async (action: (commands: Commands) => Promise<void>): Promise<void> => {
    try {
      await action(await import('./commands.ts'))
    } catch (error) {
      if (!(error instanceof ClientFailure)) throw error
      host.writeError(`gatehouse: ${error.message}\n`)
      await exit(error.exitCode)
    }
    await exit(0)
  }

  withServerOptions(
    program
      .command('login')
      .argument('<url>', 'the Gatehouse, such as https://gatehouse.example.com')
      .summary('sign in, and set up kubectl')
      .description(
        'Sign in at a Gatehouse with your browser, and write a context for it into the kubeconfig.',
      ),
  )
    .option('--no-browser', 'do not open a browser: print the address, and paste the reply')
    .option('--device', 'sign in with a code on another device, where the administrator allows it')
    .option('--certificate', 'use a short-lived client certificate instead of a token')
    .option('--client-certificate <file>', 'bind the token to this certificate of yours, PEM')
    .option('--client-key <file>', 'its private key, PEM')
    .option('--password-stdin', 'read the password of a directory from standard input')
    .option(
      '--accept-shared-client',
      'trust this server as much as the others that you have signed in at',
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples([
        [
          'gatehouse login https://gatehouse.example.com',
          'sign in, and make it the current context',
        ],
        ['gatehouse login gatehouse.example.com --ca-file ca.crt', 'with a CA that you were given'],
        [
          'gatehouse login gatehouse.example.com --account admin',
          'a second account, beside the first',
        ],
        ['gatehouse login gatehouse.example.com --no-browser', 'over SSH'],
        [
          'gatehouse login gatehouse.example.com --certificate',
          'for programs that know only client certificates',
        ],
        ['gatehouse login gatehouse.example.com --method ldap', 'with the password of a directory'],
      ]),
    )
    .action((url: string, options: Parameters<Commands['login']>[1]) =>
      run((commands) => commands.login(url, options, host)),
    )

  program
    .command('logout')
    .argument('[url]', 'the Gatehouse; that of the current context by default')
    .summary('sign out, and remove what login wrote')
    .description(
      'End the sign-in: revoke it at the issuer, and remove it from this machine and from the kubeconfig.',
    )
    .option('--account <name>', 'only this account')
    .option('--kubeconfig <file>', 'kubeconfig; KUBECONFIG or ~/.kube/config by default')
    .option('--keep-kubeconfig', 'leave the entries in the kubeconfig')
    .addHelpText(
      'after',
      examples([
        ['gatehouse logout', 'sign out of the current context'],
        ['gatehouse logout gatehouse.example.com --account admin', 'sign out of one account'],
      ]),
    )
    .action((url: string | undefined, options: { account?: string; keepKubeconfig?: boolean }) =>
      run((commands) =>
        commands.logout(url, { ...options, removeEntries: options.keepKubeconfig !== true }, host),
      ),
    )

  program
    .command('whoami')
    .argument('[url]', 'the Gatehouse; that of the current context by default')
    .summary('show how Gatehouse sees you')
    .description(
      'Show the user, groups and authentication method that Gatehouse sees, when the token expires, and where requests are refused.',
    )
    .option('--account <name>', 'the account, if you have several')
    .option('--method <name>', 'the sign-in method, if it is not the default one')
    .option('--kubeconfig <file>', 'kubeconfig; KUBECONFIG or ~/.kube/config by default')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples([
        ['gatehouse whoami', 'who am I in the current context'],
        ['gatehouse whoami gatehouse.example.com --output json', 'for a script'],
      ]),
    )
    .action((url: string | undefined, options: Parameters<Commands['whoami']>[1]) =>
      run((commands) => commands.whoami(url, options, host)),
    )

  addLockCommands(program, host, run)

  withServerOptions(
    program
      .command('kubeconfig')
      .argument('<url>', 'the Gatehouse')
      .summary('print or merge a kubeconfig without signing in')
      .description(
        'Print a kubeconfig for a Gatehouse, or merge it into yours. It holds no secret, and is the same for every user.',
      ),
  )
    .option('--merge', 'merge it into the kubeconfig instead of printing it')
    .option(
      '--accept-shared-client',
      'trust this server as much as the others that you have signed in at',
    )
    .option('--no-browser', 'the plugin does not open a browser')
    .option('--certificate', 'the plugin uses a short-lived client certificate instead of a token')
    .option('--client-certificate <file>', 'the plugin binds tokens to this certificate, PEM')
    .option('--client-key <file>', 'its private key, PEM')
    .addOption(
      new Option('--flavor <name>', 'the credential plugin that it names')
        .choices(['gatehouse', 'kubelogin'])
        .default('gatehouse'),
    )
    .option('--argocd', 'print a Secret by which Argo CD uses the cluster; it holds a token')
    .option('--token-file <file>', 'the token for --argocd, of a service account; - is stdin')
    .addHelpText(
      'after',
      examples([
        ['gatehouse kubeconfig gatehouse.example.com > gatehouse.kubeconfig', 'a file to hand out'],
        ['gatehouse kubeconfig gatehouse.example.com --merge --namespace shop', 'merge it'],
        ['gatehouse kubeconfig gatehouse.example.com --flavor kubelogin', 'for users of kubelogin'],
        ['gatehouse kubeconfig gatehouse.example.com --argocd --token-file token', 'for Argo CD'],
      ]),
    )
    .action((url: string, options: Parameters<Commands['kubeconfig']>[1]) =>
      run((commands) => commands.kubeconfig(url, options, host)),
    )

  addPluginCommand(program, host, exit)

  program
    .command('completion')
    .argument('<shell>', `one of: ${SHELLS.join(', ')}`, parseShell)
    .summary('print the completion for a shell')
    .description('Print a script that completes commands and options in your shell.')
    .addHelpText(
      'after',
      examples([
        ['source <(gatehouse completion bash)', 'in ~/.bashrc'],
        ['source <(gatehouse completion zsh)', 'in ~/.zshrc, after compinit'],
        ['gatehouse completion fish | source', 'in config.fish'],
      ]),
    )
    .action(async (shell: Shell) => {
      host.writeOut(completionScript(shell, program))
      await exit(0)
    })
}

/** The credential plugin: start.ts runs it without the command line, which would take longer to load. */
function addPluginCommand(
  program: Command,
  host: ClientHost,
  exit: (code: number) => Promise<never>,
): void {
  program
    .command('get-token')
    .summary('print a credential; kubectl runs this')
    .description(
      'The credential plugin: prints an ExecCredential for the client that runs it (KUBERNETES_EXEC_INFO), from the cache, renewed, or after a sign-in. Without such a client, it prints the token alone. gatehouse login writes its arguments into the kubeconfig.',
    )
    .requiredOption('--server <url>', 'the Gatehouse that the token is for, and is given to alone')
    .option('--account <name>', 'the account, if you have several')
    .option('--method <name>', 'the sign-in method, if it is not the default one')
    .option('--ca-file <file>', 'the CA of the Gatehouse, PEM, where no client names it')
    .addOption(cacheOption())
    .option('--device', 'sign in with a code on another device, where the administrator allows it')
    .option('--no-browser', 'do not open a browser: print the address, and paste the reply')
    .option('--certificate', 'give a short-lived client certificate instead of a token')
    .option('--client-certificate <file>', 'bind tokens to this certificate, PEM')
    .option('--client-key <file>', 'its private key, PEM')
    .addHelpText(
      'after',
      examples([
        ['gatehouse get-token --server https://gatehouse.example.com', 'a token for curl'],
      ]),
    )
    .action(async () => {
      const { getToken } = await import('./get-token.ts')
      await exit(await getToken(host))
    })
}

/** The commands of those who may lock users, which the administrator of the server names. */
function addLockCommands(
  program: Command,
  host: ClientHost,
  run: (action: (commands: Commands) => Promise<void>) => Promise<void>,
): void {
  withSessionOptions(
    withTargetOptions(
      program
        .command('lock')
        .argument('[url]', 'the Gatehouse; that of the current context by default')
        .summary('lock a user, group, certificate, token or address')
        .description(
          'Lock a user, a group, a client certificate, a token or an address: requests are refused with the reason, and running streams end. Your administrator says who may do this.',
        ),
    )
      .requiredOption('--reason <text>', 'why; the locked user sees this text')
      .option('--for <duration>', 'how long, such as 30m, 2h or 7d; until it is lifted by default'),
  )
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples([
        [
          'gatehouse lock --user oidc:mallory --for 2h --reason "Laptop stolen, call the desk."',
          'a user',
        ],
        ['gatehouse lock --certificate-serial 4F1D2A90 --reason "Key leaked."', 'a certificate'],
        ['gatehouse lock --address 192.0.2.0/24 --reason "Scans."', 'a network'],
      ]),
    )
    .action((url: string | undefined, options: Parameters<Commands['lock']>[1]) =>
      run((commands) => commands.lock(url, options, host)),
    )

  withSessionOptions(
    withTargetOptions(
      program
        .command('unlock')
        .argument('[url]', 'the Gatehouse; that of the current context by default')
        .summary('lift a lock')
        .description('Lift a lock. A lock in the lock file can only be removed there.'),
    ),
  )
    .addHelpText('after', examples([['gatehouse unlock --user oidc:mallory', 'lift the lock']]))
    .action((url: string | undefined, options: Parameters<Commands['unlock']>[1]) =>
      run((commands) => commands.unlock(url, options, host)),
    )

  withSessionOptions(
    program
      .command('locks')
      .argument('[url]', 'the Gatehouse; that of the current context by default')
      .summary('list the locks in force')
      .description('List the locks in force, those of the lock file included.'),
  )
    .addOption(outputOption())
    .addHelpText('after', examples([['gatehouse locks --output json', 'for a script']]))
    .action((url: string | undefined, options: Parameters<Commands['locks']>[1]) =>
      run((commands) => commands.locks(url, options, host)),
    )
}

function withTargetOptions(command: Command): Command {
  return command
    .option('--user <name>', 'a user, with the prefix of the issuer')
    .option('--group <name>', 'a group, with the prefix of the issuer')
    .option('--certificate-serial <hex>', 'a client certificate, by its serial number')
    .option('--token-id <jti>', 'a token and its certificates, by its claim jti')
    .option('--address <network>', 'clients at an address, or in a network such as 192.0.2.0/24')
}

/** The options that name a sign-in. */
function withSessionOptions(command: Command): Command {
  return command
    .option('--account <name>', 'the account, if you have several')
    .option('--method <name>', 'the sign-in method, if it is not the default one')
    .option('--kubeconfig <file>', 'kubeconfig; KUBECONFIG or ~/.kube/config by default')
}

/** The options of what writes a kubeconfig. */
function withServerOptions(command: Command): Command {
  return command
    .option('--account <name>', 'a name for this account, to have several side by side')
    .option('--method <name>', 'the sign-in method, if the Gatehouse has several')
    .option('--ca-file <file>', 'the CA of the Gatehouse, PEM')
    .option(
      '--ca-fingerprint <sha256>',
      'accept the CA that the Gatehouse names if it has this fingerprint; may be repeated',
      (value: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), value],
    )
    .option('--context <name>', 'the name of the context; by default that of the cluster')
    .option('--namespace <name>', 'the namespace of the context')
    .option('--kubeconfig <file>', 'kubeconfig; KUBECONFIG or ~/.kube/config by default')
    .option('--no-switch-context', 'leave the current context as it is')
    .addOption(cacheOption())
}

function cacheOption(): Option {
  return new Option(
    '--cache <where>',
    'where tokens are kept: by default encrypted with a key in the keyring, if there is one',
  ).choices(['auto', 'keyring', 'file'])
}

function outputOption(): Option {
  return new Option('--output <format>', 'format of the result')
    .choices(['table', 'json', 'yaml'])
    .default('table')
}

function parseShell(text: string): Shell {
  const shell = SHELLS.find((each) => each === text)
  if (shell === undefined) throw new InvalidArgumentError(`It is not one of ${SHELLS.join(', ')}.`)
  return shell
}

function examples(lines: readonly (readonly [command: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  const text = lines.map(([command, meaning]) => `  ${command.padEnd(width)}  # ${meaning}\n`)
  return `\nExamples:\n${text.join('')}`
}

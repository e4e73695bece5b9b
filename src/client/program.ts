/** The commands for users, as the command line shows them. What they do is loaded when they run. */
import { InvalidArgumentError, Option, type Command } from 'commander'

import { completionScript, SHELLS, type Shell } from './completion.ts'
import { ClientFailure } from './failure.ts'
import type { ClientHost } from './host.ts'
import { addLockCommands } from './lock-program.ts'
import { cacheOption, examples, outputOption, withServerOptions } from './program-options.ts'

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

function parseShell(text: string): Shell {
  const shell = SHELLS.find((each) => each === text)
  if (shell === undefined) throw new InvalidArgumentError(`It is not one of ${SHELLS.join(', ')}.`)
  return shell
}

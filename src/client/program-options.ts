/** Options that several commands have, and how their examples are printed. */
import { Option, type Command } from 'commander'

/** The options that name a sign-in. */
export function withSessionOptions(command: Command): Command {
  return command
    .option('--account <name>', 'the account, if you have several')
    .option('--method <name>', 'the sign-in method, if it is not the default one')
    .option('--kubeconfig <file>', 'kubeconfig; KUBECONFIG or ~/.kube/config by default')
}

/** The options of what writes a kubeconfig. */
export function withServerOptions(command: Command): Command {
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

export function cacheOption(): Option {
  return new Option(
    '--cache <where>',
    'where tokens are kept: by default encrypted with a key in the keyring, if there is one',
  ).choices(['auto', 'keyring', 'file'])
}

export function outputOption(): Option {
  return new Option('--output <format>', 'format of the result')
    .choices(['table', 'json', 'yaml'])
    .default('table')
}

/** For the end of a command's help. */
export function examples(lines: readonly (readonly [command: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  const text = lines.map(([command, meaning]) => `  ${command.padEnd(width)}  # ${meaning}\n`)
  return `\nExamples:\n${text.join('')}`
}

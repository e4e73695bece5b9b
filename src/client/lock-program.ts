import type { Command } from 'commander'

import type { ClientHost } from './host.ts'
import { examples, outputOption, withSessionOptions } from './program-options.ts'

type Commands = typeof import('./commands.ts')

/** The commands of those who may lock users, which the administrator of the server names. */
export function addLockCommands(
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
    ).option(
      '--disabled-account <name>',
      'an account that its issuer has disabled, as gatehouse locks shows it',
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

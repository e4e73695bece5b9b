import type { LdapMethod } from '../discovery.ts'
import { ClientFailure } from '../failure.ts'
import type { Server } from '../server.ts'
import type { Session } from '../session/session.ts'
import type { Terminal } from '../terminal.ts'
import { obtainCertificate } from './obtain-certificate.ts'

export interface PasswordSignIn {
  readonly method: LdapMethod
  /** The user name; empty: the user is asked. */
  readonly account: string
  readonly terminal: Terminal
  /** Reads the password from elsewhere than the terminal. */
  readonly readPassword: (() => Promise<string>) | undefined
}

/**
 * Signs in with a user name and a password, which are sent to the server once. The session has a certificate,
 * and nothing with which it could be renewed.
 *
 * @throws ClientFailure
 */
export async function signInWithPassword(
  server: Server,
  { method, account, terminal, readPassword }: PasswordSignIn,
): Promise<Session> {
  if (!terminal.isInteractive && (readPassword === undefined || account === '')) {
    throw new ClientFailure(
      'signInRequired',
      `the method ${method.name} needs a password: run gatehouse login ${server.origin} --method ${method.name} in a terminal, or with --account and --password-stdin`,
    )
  }
  const username = account === '' ? (await terminal.ask('User name: ')).trim() : account
  const password =
    readPassword === undefined
      ? await terminal.askSecret(`Password of ${username}: `)
      : await readPassword()
  const signIn = { method: method.name, username, password }
  const obtained = await obtainCertificate(server, { signIn })
  if (obtained === undefined) {
    throw new ClientFailure('rejected', `${server.origin} issues no certificate for this sign-in`)
  }
  const { certificate, key, renewAt, expiresAt } = obtained
  return {
    facts: {
      ...{ issuer: '', clientID: '', scopes: [], subject: username },
      ...{ renewAt: 0, expiresAt: 0, discoveryURL: '', issuerCA: '' },
      certificateRenewAt: renewAt,
      certificateExpiresAt: expiresAt,
    },
    secrets: { token: '', certificate: { certificate, key } },
  }
}

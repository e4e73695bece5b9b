/** The entries of a kubeconfig for a Gatehouse. None of them contains a secret that is one. */
import { delimiter, join } from 'node:path'
import { realpathSync } from 'node:fs'

import type { OidcMethod } from '../discovery.ts'
import { ClientFailure, printable } from '../failure.ts'
import type { ClientHost } from '../host.ts'
import type { Server } from '../server.ts'

const INSTALL_HINT =
  'The command "gatehouse" is missing: install the package that your Gatehouse administrator gives you.\n'

export interface PluginStanza {
  readonly server: Server
  readonly account: string
  readonly method: string
  /** The command line of the plugin, without `get-token`. */
  readonly command: readonly string[]
  /** Further arguments of `get-token`. */
  readonly args: readonly string[]
}

/** The `exec` member of a user that signs in with this program. */
export function pluginStanza({ server, account, method, command, args }: PluginStanza): object {
  const [program = 'gatehouse', ...before] = command
  return {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: program,
    args: [
      ...before,
      'get-token',
      `--server=${server.origin}`,
      ...(account === '' ? [] : [`--account=${account}`]),
      ...(method === '' ? [] : [`--method=${method}`]),
      ...args,
    ],
    installHint: INSTALL_HINT,
    interactiveMode: 'IfAvailable',
    provideClusterInfo: true,
  }
}

/** kubelogin's own default. */
const DEFAULT_REDIRECTS = ['http://localhost:8000', 'http://localhost:18000']

/** The `exec` member of a user that signs in with kubelogin (`kubectl oidc-login`). */
export function kubeloginStanza(method: OidcMethod, scopes: readonly string[]): object {
  const { issuer, clientID, clientSecret, certificateAuthority } = method
  const { extraParameters, redirectURIs } = method
  const ca = Buffer.from(certificateAuthority).toString('base64')
  const ports = redirectURIs.map((uri) => new URL(uri).port).filter((port) => port !== '')
  const isDefault = redirectURIs.join() === DEFAULT_REDIRECTS.join()
  return {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'kubectl',
    args: [
      'oidc-login',
      'get-token',
      `--oidc-issuer-url=${issuer}`,
      `--oidc-client-id=${clientID}`,
      ...(clientSecret === '' ? [] : [`--oidc-client-secret=${clientSecret}`]),
      ...scopes.filter((scope) => scope !== 'openid').map((scope) => `--oidc-extra-scope=${scope}`),
      ...(ca === '' ? [] : [`--certificate-authority-data=${ca}`]),
      ...Object.entries(extraParameters).map(
        ([name, value]) => `--oidc-auth-request-extra-params=${extraParameter(name, value)}`,
      ),
      ...(isDefault ? [] : ports.map((port) => `--listen-address=127.0.0.1:${port}`)),
    ],
    installHint: 'kubelogin is missing: install it with "kubectl krew install oidc-login".\n',
    interactiveMode: 'IfAvailable',
    provideClusterInfo: false,
  }
}

/**
 * kubelogin reads the argument as CSV if it has several `=`, so that one parameter could become others,
 * such as `state`; and it trims quotes if it has one (pflag, string_to_string.go).
 */
function extraParameter(name: string, value: string): string {
  if (/[=,"\r\n]/.test(name) || /["\r\n]/.test(value)) {
    throw new ClientFailure(
      'unavailable',
      `kubelogin cannot send the parameter ${JSON.stringify(printable(name))} of this server: ask your Gatehouse administrator`,
    )
  }
  return value.includes('=') ? `"${name}=${value}"` : `${name}=${value}`
}

/** The content of a cluster's entry. Whatever would weaken TLS is removed from an existing one. */
export function clusterMembers({ origin, certificateAuthority }: Server): Record<string, unknown> {
  return {
    server: origin,
    'certificate-authority-data':
      certificateAuthority === ''
        ? undefined
        : Buffer.from(certificateAuthority).toString('base64'),
    'certificate-authority': undefined,
    'insecure-skip-tls-verify': undefined,
    'tls-server-name': undefined,
  }
}

/** Whether a user's entry runs this program for a server. */
export function isPluginFor(
  user: Readonly<Record<string, unknown>> | undefined,
  origin: string,
): boolean {
  const args = argsOf(user)
  return args.includes('get-token') && args.includes(`--server=${origin}`)
}

/** The value of an argument of the plugin in a user's entry; empty when there is none. */
export function pluginArgument(
  user: Readonly<Record<string, unknown>> | undefined,
  name: string,
): string {
  const prefix = `--${name}=`
  return (
    argsOf(user)
      .find((arg) => arg.startsWith(prefix))
      ?.slice(prefix.length) ?? ''
  )
}

function argsOf(user: Readonly<Record<string, unknown>> | undefined): readonly string[] {
  const exec = user?.['exec']
  if (typeof exec !== 'object' || exec === null || !('args' in exec)) return []
  return Array.isArray(exec.args) ? exec.args.filter((arg) => typeof arg === 'string') : []
}

/**
 * How kubectl can start this program: by its name where that finds it, otherwise by the paths of Node and
 * of the script.
 */
export function pluginCommand({ env, program }: ClientHost): readonly string[] {
  const script = realPath(program.script)
  const isOnPath = (env['PATH'] ?? '')
    .split(delimiter)
    .some((directory) => directory !== '' && realPath(join(directory, 'gatehouse')) === script)
  return isOnPath ? ['gatehouse'] : [program.node, program.script]
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

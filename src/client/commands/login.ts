import { resolve } from 'node:path'

import { certificateFiles } from '../exec/arguments.ts'
import { EXIT } from '../exit-codes.ts'
import { ClientFailure, printable } from '../failure.ts'
import type { ClientHost } from '../host.ts'
import { readKubeconfig } from '../kubeconfig/document.ts'
import { missingPluginEntry } from '../kubeconfig/kuberc.ts'
import { knownCA, mergeEntry, type Merged } from '../kubeconfig/merge.ts'
import { defaultPath, kubeconfigPaths } from '../kubeconfig/paths.ts'
import { pluginCommand, pluginStanza } from '../kubeconfig/stanza.ts'
import { requireWritable, updateKubeconfigs } from '../kubeconfig/update.ts'
import { bindingOf, chooseMethod, maxAgeOf } from '../method.ts'
import { isFingerprint } from '../net/certificates.ts'
import { obtainSession } from '../obtain-session.ts'
import { readCA } from '../renew-token.ts'
import { originOf } from '../server.ts'
import { credentialOf } from '../session/freshness.ts'
import type { CertificateFiles, SessionId } from '../session/session.ts'
import type { Terminal } from '../terminal.ts'
import { trustServer, type TrustedServer } from '../trust-server.ts'
import { requestWhoAmI, type WhoAmI } from '../whoami-request.ts'
import { browserOf, effectsOf, type CommonOptions } from './environment.ts'
import { formatted, type Output } from './output.ts'

export interface ServerOptions extends CommonOptions {
  readonly caFile?: string
  readonly caFingerprint?: readonly string[]
  readonly context?: string
  readonly namespace?: string
  /** False for `--no-switch-context`. */
  readonly switchContext: boolean
  readonly browser: boolean
  readonly device?: boolean
  readonly certificate?: boolean
  /** The user's own certificate and its key, to which the token is bound. */
  readonly clientCertificate?: string
  readonly clientKey?: string
}

export interface LoginOptions extends ServerOptions {
  readonly acceptSharedClient?: boolean
  /** Reads the password of a directory from standard input. */
  readonly passwordStdin?: boolean
  readonly output: Output
}

const MAX_PASSWORD = 4_096

/**
 * Signs in at a Gatehouse and writes the kubeconfig. The kubeconfig is written last, so that a sign-in
 * that does not succeed leaves it as it was.
 */
export async function login(url: string, options: LoginOptions, host: ClientHost): Promise<void> {
  const effects = effectsOf(host, options)
  const paths = kubeconfigPaths(host, options.kubeconfig)
  requireWritable(defaultPath(paths))
  const trusted = await findServer(url, options, host, effects.terminal)
  const { server, discovery } = trusted
  const id = sessionOf(trusted, options)
  const method = chooseMethod(server, discovery, id.method)
  const isPassword = method.type === 'ldap'
  const certificate = isPassword || options.certificate === true
  const files = filesOf(options)
  if (!isPassword) {
    if (options.passwordStdin === true) throw takesNoPassword(id.method)
    if (certificate) maxAgeOf(server, method)
    bindingOf(server, method, { certificate, certificateFiles: files })
  }
  const session = await obtainSession(
    {
      id,
      maySignIn: true,
      force: true,
      acceptSharedClient: options.acceptSharedClient === true,
      browser: browserOf(host, options.browser),
      device: options.device === true,
      certificate,
      certificateFiles: files,
      readPassword: options.passwordStdin === true ? () => readStdin(host) : undefined,
    },
    effects,
  )
  let whoami: WhoAmI
  try {
    whoami = await requestWhoAmI(server, credentialOf(session, isPassword).credential)
  } catch (error) {
    const isRejected = error instanceof ClientFailure && error.exitCode === EXIT.rejected
    if (isRejected) effects.store.remove(id)
    throw error
  }
  const merged = await mergeServer(trusted, { ...options, certificate }, host)
  const { username, groups } = whoami
  const result = { server: server.origin, username, groups, ...merged }
  host.writeOut(
    formatted(options.output, result, [
      ['Signed in as', `${username} at ${discovery.displayName} (${server.origin})`],
      ['Groups', groups.join(', ')],
      ...(certificate
        ? [['Certificate until', until(session.facts.certificateExpiresAt)] as const]
        : []),
      ['Context', `${merged.context} in ${merged.path}`],
    ]),
  )
  if (options.output !== 'table') return
  const context = options.switchContext ? '' : ` --context ${merged.context}`
  host.writeOut(`\nNow run: kubectl${context} get pods\n`)
}

function takesNoPassword(method: string): ClientFailure {
  const which = method === '' ? 'the default sign-in method' : `the sign-in method ${method}`
  const hint = 'leave out --password-stdin, or name another one with --method'
  return new ClientFailure('usage', `${which} does not take a password: ${hint}`)
}

/** The first line of standard input: a password that another program has. */
async function readStdin(host: ClientHost): Promise<string> {
  let text = ''
  for await (const chunk of host.stdin() as AsyncIterable<Buffer | string>) {
    text += chunk.toString()
    if (text.length > MAX_PASSWORD) throw new ClientFailure('usage', 'the password is too long')
  }
  return text.replace(/\r?\n[\s\S]*$/, '')
}

function until(milliseconds = 0): string {
  return new Date(milliseconds).toISOString()
}

/** The server of a URL, with a CA that the user trusts. */
export async function findServer(
  url: string,
  { caFile, caFingerprint = [], kubeconfig }: ServerOptions,
  host: ClientHost,
  terminal: Terminal,
): Promise<TrustedServer> {
  const origin = originOf(url, 'the URL')
  requireFingerprints(caFingerprint)
  const documents = kubeconfigPaths(host, kubeconfig).map((path) => readKubeconfig(path))
  const known = caFile === undefined ? knownCA(documents, origin) : readCA(caFile)
  return trustServer({ origin, knownCA: known, fingerprints: caFingerprint }, terminal)
}

function requireFingerprints(texts: readonly string[]): void {
  const wrong = texts.find((text) => !isFingerprint(text))
  if (wrong === undefined) return
  const hint = 'it must be a SHA-256 fingerprint: 64 hexadecimal digits, colons or not'
  throw new ClientFailure('usage', `--ca-fingerprint ${printable(wrong)}: ${hint}`)
}

/** The session of a server that the options are about. */
export function sessionOf(
  { server }: TrustedServer,
  { account = '', method = '' }: CommonOptions,
): SessionId {
  return { server, account, method }
}

/** Merges the entries of a server into the kubeconfig; prints what kuberc lacks. */
export async function mergeServer(
  trusted: TrustedServer,
  options: ServerOptions,
  host: ClientHost,
): Promise<Merged> {
  const command = pluginCommand(host)
  const exec = execOf(trusted, options, command)
  const merged = await mergeExec(trusted, options, host, exec)
  const missing = missingPluginEntry(host, command[0] ?? '')
  if (missing !== undefined) host.writeError(`\n${missing}\n`)
  return merged
}

/** The `exec` member of a kubeconfig that runs the credential plugin with these options. */
export function execOf(
  trusted: TrustedServer,
  options: ServerOptions,
  command: readonly string[],
): object {
  const { cache, browser } = options
  const files = filesOf(options)
  const args = [
    ...(cache === undefined || cache === 'auto' ? [] : [`--cache=${cache}`]),
    ...(browser ? [] : ['--no-browser']),
    ...(options.device === true ? ['--device'] : []),
    ...(options.certificate === true ? ['--certificate'] : []),
    ...(files === undefined
      ? []
      : [`--client-certificate=${files.certificate}`, `--client-key=${files.key}`]),
  ]
  return pluginStanza({ ...sessionOf(trusted, options), command, args })
}

/** kubectl runs the plugin in any directory. */
function filesOf({
  clientCertificate = '',
  clientKey = '',
}: ServerOptions): CertificateFiles | undefined {
  const files = certificateFiles(clientCertificate, clientKey)
  return files && { certificate: resolve(files.certificate), key: resolve(files.key) }
}

/** Merges the entries of a server with any `exec` member. */
export function mergeExec(
  trusted: TrustedServer,
  options: ServerOptions,
  host: ClientHost,
  exec: object,
): Promise<Merged> {
  const { account = '', namespace, switchContext } = options
  const entry = {
    name: entryName(trusted, options),
    server: trusted.server,
    account,
    exec,
    namespace,
    makesCurrent: switchContext,
  }
  return updateKubeconfigs(kubeconfigPaths(host, options.kubeconfig), (documents) =>
    mergeEntry(documents, entry),
  )
}

/** The name of the entries in the kubeconfig: chosen, that of the cluster, or the host. */
export function entryName(
  { server, discovery }: TrustedServer,
  { context }: ServerOptions,
): string {
  return context ?? discovery.clusterName ?? new URL(server.origin).hostname
}

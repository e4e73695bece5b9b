/** A Gatehouse whose users sign in at the development identity provider, and users of the command line. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

import { stringify } from 'yaml'

import { writeDevelopmentCertificates } from '../../certs-dev/generate.ts'
import { startIdentityProvider, type IdentityProvider } from '../../dev/identity-provider.ts'
import { startApiServer } from './api-server.ts'
import { command, type CommandResult } from './command.ts'
import {
  startTestGatehouse,
  upstreamOf,
  type TestGatehouse,
  type TestUpstream,
} from './gatehouse.ts'

export const grace = {
  subject: 'grace-1',
  preferredUsername: 'grace',
  email: 'grace@example.com',
  groups: ['engineers'],
}
export const heidi = { ...grace, subject: 'heidi-1', preferredUsername: 'heidi', groups: ['ops'] }

const root = resolve(import.meta.dirname, '../..')
export const START = join(root, 'src/start.ts')

export interface SignInWorldOptions {
  readonly idTokenSeconds?: number
  /** Members of `authentication` besides configFile. */
  readonly authentication?: Readonly<Record<string, unknown>>
  /** Of the issuer in the AuthenticationConfiguration. */
  readonly claimValidationRules?: readonly object[]
  /** Whether the provider binds access tokens of the command line to its certificates. */
  readonly bindsAccessTokens?: boolean
  /** A fake API server by default. */
  readonly upstream?: TestUpstream
  /** Members of the method in `signIn.methods`. */
  readonly method?: Readonly<Record<string, unknown>>
  /** Members of `signIn`. */
  readonly signIn?: Readonly<Record<string, unknown>>
  /** Members of `locks`. */
  readonly locks?: Readonly<Record<string, unknown>>
  /** Members of `authentication.issuedCertificates`; by default, no certificates are issued. */
  readonly issuing?: Readonly<Record<string, unknown>>
  /** More files beside the configuration, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** The provider of another world, which is not ended with this one. */
  readonly provider?: IdentityProvider
  readonly providerCA?: string
}

export interface SignInWorld {
  readonly gatehouse: TestGatehouse
  readonly provider: IdentityProvider
  /** The CA of the provider, and the path of its file. */
  readonly providerCA: string
  readonly providerCAFile: string
  /** A user of this machine with an empty home directory. */
  user(account?: string): Promise<CommandLineUser>
  close(): Promise<void>
}

export interface CommandLineUser {
  readonly home: string
  readonly env: Readonly<Record<string, string>>
  /** The addresses that the browser was opened with. */
  windows(): Promise<readonly string[]>
  /** Runs `gatehouse`. */
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<CommandResult>
  /** Runs the credential plugin as kubectl does. */
  plugin(options?: PluginOptions): Promise<CommandResult>
}

export interface PluginOptions {
  readonly interactive?: boolean
  readonly args?: readonly string[]
  readonly cluster?: Readonly<Record<string, unknown>>
  readonly apiVersion?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Starts everything. */
export async function startSignInWorld(options: SignInWorldOptions = {}): Promise<SignInWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-sign-in-'))
  const certificates = await writeDevelopmentCertificates(join(folder, 'certificates'))
  const providerCA = options.providerCA ?? (await readFile(certificates.ca.certFile, 'utf8'))
  const own = options.provider === undefined
  const provider =
    options.provider ??
    (await startIdentityProvider({
      accounts: [grace, heidi],
      serving: certificates.serving,
      caFile: certificates.ca.certFile,
      bindsAccessTokens: options.bindsAccessTokens === true,
      ...(options.idTokenSeconds === undefined ? {} : { idTokenSeconds: options.idTokenSeconds }),
    }))
  const api = options.upstream === undefined ? await startApiServer() : undefined
  const authentication = join(folder, 'authentication.yaml')
  const { clientId, commandLineClientId, desktopClient } = provider
  const audiences = [clientId, commandLineClientId, desktopClient.id]
  await writeFile(
    authentication,
    stringify(authenticationOf(provider, audiences, providerCA, options.claimValidationRules)),
  )
  const gatehouse = await startTestGatehouse({
    upstream: options.upstream ?? upstreamOf(api!),
    ...(options.files === undefined ? {} : { files: options.files }),
    ...(options.issuing === undefined
      ? {}
      : { issuing: { issuers: [provider.issuer], ...options.issuing } }),
    configuration: {
      authentication: { configFile: authentication, ...options.authentication },
      locks: options.locks ?? {},
      signIn: {
        ...options.signIn,
        methods: [
          {
            name: 'development',
            issuer: provider.issuer,
            clientID: provider.commandLineClientId,
            scopes: ['offline_access', 'profile', 'email', 'groups'],
            extraParameters: [{ name: 'prompt', value: 'consent' }],
            redirectURIs: ['http://127.0.0.1'],
            ...options.method,
          },
        ],
      },
    },
  })
  return {
    gatehouse,
    provider,
    providerCA,
    providerCAFile: certificates.ca.certFile,
    user: (account = grace.preferredUsername) =>
      createUser(folder, gatehouse, certificates.ca.certFile, account),
    async close() {
      await gatehouse.close()
      await api?.close()
      if (own) await provider.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function createUser(
  folder: string,
  gatehouse: TestGatehouse,
  caFile: string,
  account: string,
): Promise<CommandLineUser> {
  const home = await mkdtemp(join(folder, 'home-'))
  const log = join(home, 'windows')
  await writeFile(log, '')
  await mkdir(join(home, 'tmp'))
  const env = {
    PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    TMPDIR: join(home, 'tmp'),
    BROWSER: `${process.execPath} ${join(root, 'test/support/browser.ts')}`,
    BROWSER_LOG: log,
    BROWSER_ACCOUNT: account,
    BROWSER_CA: caFile,
  }
  const run: CommandLineUser['run'] = (args, more = {}) =>
    command(process.execPath, [START, ...args], { cwd: home, env: { ...env, ...more } })
  return {
    home,
    env,
    run,
    windows: async () => (await readFile(log, 'utf8')).split('\n').slice(0, -1),
    plugin: ({ args = [], env: more = {}, ...options } = {}) =>
      run(['get-token', `--server=${gatehouse.url}`, ...args], {
        KUBERNETES_EXEC_INFO: execInfo(gatehouse, options),
        ...more,
      }),
  }
}

/** What kubectl puts into KUBERNETES_EXEC_INFO. */
export function execInfo(
  { url, ca }: Pick<TestGatehouse, 'url' | 'ca'>,
  {
    interactive = true,
    apiVersion = 'client.authentication.k8s.io/v1',
    cluster,
  }: PluginOptions = {},
): string {
  const info = { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') }
  return JSON.stringify({
    kind: 'ExecCredential',
    apiVersion,
    spec: { cluster: { ...info, ...cluster }, interactive },
  })
}

/** An AuthenticationConfiguration with the provider as issuer, for tokens of these clients. */
export function authenticationOf(
  { issuer: url }: Pick<IdentityProvider, 'issuer'>,
  audiences: readonly string[],
  certificateAuthority: string,
  claimValidationRules: readonly object[] = [],
): unknown {
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: {
          url,
          audiences,
          audienceMatchPolicy: 'MatchAny',
          certificateAuthority,
        },
        claimValidationRules,
        claimMappings: {
          username: { claim: 'preferred_username', prefix: 'oidc:' },
          groups: { claim: 'groups', prefix: 'oidc:' },
        },
      },
    ],
  }
}

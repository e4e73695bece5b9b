/** The two users of a first run, and their kubeconfigs for Gatehouse. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { developmentClient, type DevelopmentCertificates } from '../../certs-dev/generate.ts'
import type { DevelopmentAccount, IdentityProvider } from '../identity-provider.ts'
import { formatKubeconfig } from '../parts/kubeconfig.ts'

/** A user as Kubernetes sees it, and the kind of credential. */
export interface DevelopmentUser {
  readonly username: string
  readonly groups: readonly string[]
  readonly kind: 'x509' | 'oidc'
}

/** The prefix of user names and groups from the identity provider. */
export const OIDC_PREFIX = 'oidc:'

/** Authenticates with a client certificate. */
export const ada: DevelopmentUser = {
  username: developmentClient.commonName,
  groups: developmentClient.organizations,
  kind: 'x509',
}

/** The account of {@link grace} at the identity provider. */
export const graceAccount: DevelopmentAccount = {
  subject: 'b1f5c1d0-grace',
  preferredUsername: 'grace',
  email: 'grace@example.com',
  groups: ['developers'],
}

/** Authenticates with an OIDC token. */
export const grace: DevelopmentUser = {
  username: OIDC_PREFIX + graceAccount.preferredUsername,
  groups: graceAccount.groups.map((group) => OIDC_PREFIX + group),
  kind: 'oidc',
}

const TOKEN_RENEWAL_MS = 60 * 60 * 1_000

/** The folder of the kubeconfigs, and their content. */
export interface UserFilesOptions {
  readonly directory: string
  /** Gatehouse's URL. */
  readonly url: string
  readonly certificates: DevelopmentCertificates
}

/** Writes ada's kubeconfig, with certificate and key inline, and returns its path. */
export async function writeAdaKubeconfig(options: UserFilesOptions): Promise<string> {
  const { client } = options.certificates
  return writeUserKubeconfig(options, ada.username, {
    'client-certificate-data': await base64Of(client.certFile),
    'client-key-data': await base64Of(client.keyFile),
  })
}

/**
 * Writes grace's kubeconfig and the token file that it names, and renews the ID token in that file
 * every hour. Returns the path of the kubeconfig, and a function that stops the renewal.
 *
 * It is a file rather than an `exec` plugin: kubectl and all of client-go reread `tokenFile` every
 * minute, so the token does not expire while the identity provider runs, and no command has to wait
 * for a plugin. Clients that support only `token` use the first token, which is valid for 12 hours.
 */
export async function writeGraceKubeconfig(
  options: UserFilesOptions,
  identityProvider: IdentityProvider,
): Promise<{ kubeconfig: string; stop: () => void }> {
  const tokenFile = join(options.directory, 'grace.token')
  const renew = async (): Promise<string> => {
    const token = await identityProvider.idToken(graceAccount.subject)
    await writeFile(`${tokenFile}.new`, token, { mode: 0o600 })
    await rename(`${tokenFile}.new`, tokenFile)
    return token
  }
  const token = await renew()
  const timer = setInterval(() => {
    renew().catch((error: unknown) => console.error(`cannot renew grace's token: ${String(error)}`))
  }, TOKEN_RENEWAL_MS)
  timer.unref()
  const kubeconfig = await writeUserKubeconfig(options, 'grace', { token, tokenFile })
  return { kubeconfig, stop: () => clearInterval(timer) }
}

async function writeUserKubeconfig(
  { directory, url, certificates }: UserFilesOptions,
  name: string,
  user: Readonly<Record<string, string>>,
): Promise<string> {
  const cluster = {
    server: url,
    'certificate-authority-data': await base64Of(certificates.ca.certFile),
  }
  const file = join(directory, `${name}.kubeconfig`)
  await writeFile(file, formatKubeconfig({ cluster, user, userName: name }), { mode: 0o600 })
  return file
}

async function base64Of(file: string): Promise<string> {
  return (await readFile(file)).toString('base64')
}

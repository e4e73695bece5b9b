/** The two users of the first run, and the kubeconfigs that they reach Gatehouse with. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { developmentClient, type DevelopmentCertificates } from '../../certs-dev/generate.ts'
import type { DevelopmentAccount, IdentityProvider } from '../identity-provider.ts'

/** A user as Kubernetes sees it, and how the credential is had. */
export interface DevelopmentUser {
  readonly username: string
  readonly groups: readonly string[]
  readonly kind: 'x509' | 'oidc'
}

/** Stands before names and groups that come from the identity provider. */
export const oidcPrefix = 'oidc:'

/** Signs in by client certificate. */
export const ada: DevelopmentUser = {
  username: developmentClient.commonName,
  groups: developmentClient.organizations,
  kind: 'x509',
}

/** The account behind {@link grace}. */
export const graceAccount: DevelopmentAccount = {
  subject: 'b1f5c1d0-grace',
  preferredUsername: 'grace',
  email: 'grace@example.com',
  groups: ['developers'],
}

/** Signs in by OIDC token. */
export const grace: DevelopmentUser = {
  username: oidcPrefix + graceAccount.preferredUsername,
  groups: graceAccount.groups.map((group) => oidcPrefix + group),
  kind: 'oidc',
}

const tokenRenewal = 60 * 60 * 1000

/** Where the kubeconfigs go and what they say. */
export interface UserFilesOptions {
  readonly directory: string
  /** Gatehouse's. */
  readonly url: string
  readonly certificates: DevelopmentCertificates
}

/** Writes ada's kubeconfig, everything in it, and returns its path. */
export async function writeAdaKubeconfig(options: UserFilesOptions): Promise<string> {
  const { client } = options.certificates
  return writeUserKubeconfig(options, ada.username, {
    'client-certificate-data': await base64Of(client.certFile),
    'client-key-data': await base64Of(client.keyFile),
  })
}

/**
 * Writes grace's kubeconfig, and from then on once an hour a new ID token into the file that it names;
 * returns its path, and what ends the renewal.
 *
 * A file and no `exec` plugin: kubectl and all of client-go read `tokenFile` again every minute, so a
 * token never runs out while the identity provider runs, and no command has to wait for a process
 * that asks for one. Clients that know only `token` have the first one, for its 12 hours.
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
    renew().catch((error: unknown) => console.error(`no new token for grace: ${String(error)}`))
  }, tokenRenewal)
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
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'gatehouse', cluster }],
    users: [{ name, user }],
    contexts: [{ name: 'gatehouse', context: { cluster: 'gatehouse', user: name } }],
    'current-context': 'gatehouse',
  }
  await writeFile(file, stringify(kubeconfig, { lineWidth: 0 }), { mode: 0o600 })
  return file
}

async function base64Of(file: string): Promise<string> {
  return (await readFile(file)).toString('base64')
}

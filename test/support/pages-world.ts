/** A Gatehouse with pages for browsers, whose users sign in at the development identity provider. */
import { createPublicKey, randomBytes, type KeyObject } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { stringify } from 'yaml'

import { writeDevelopmentCertificates } from '../../certs-dev/generate.ts'
import {
  startIdentityProvider,
  type DevelopmentAccount,
  type IdentityProvider,
} from '../../dev/identity-provider.ts'
import { freePort } from '../../dev/parts/free-ports.ts'
import { startApiServer, type ApiServer } from './api-server.ts'
import { SECRET, startTestGatehouse, upstreamOf, type TestGatehouse } from './gatehouse.ts'
import { authenticationOf, grace, heidi } from './sign-in-world.ts'

/** Every browser resolves names below `localhost` to loopback (RFC 6761 section 6.3). */
export const PAGES_HOST = 'login.localhost'
export const API_HOST = 'localhost'

export interface PagesWorldOptions {
  readonly accounts?: readonly DevelopmentAccount[]
  /** Members of `signIn.pages`. */
  readonly pages?: Readonly<Record<string, unknown>>
  /** Members of the configuration. */
  readonly configuration?: Readonly<Record<string, unknown>>
  /** Members of `authentication.issuedCertificates`; by default, no certificates are issued. */
  readonly issuing?: Readonly<Record<string, unknown>>
  /** More files beside the configuration, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** Whether the pages share the host of the API: then client certificates are not accepted. */
  readonly isShared?: boolean
  /** With which the client authenticates, in place of a secret. */
  readonly privateKey?: KeyObject
}

export interface PagesWorld {
  readonly api: ApiServer
  readonly gatehouse: TestGatehouse
  readonly provider: IdentityProvider
  /** The CA of the provider, PEM. */
  readonly providerCA: string
  readonly pagesURL: string
  readonly apiURL: string
  /** The paths of the files that `signIn.pages` names. */
  readonly cookieKeysFile: string
  readonly secretFile: string
  close(): Promise<void>
}

/** Starts everything. */
export async function startPagesWorld(options: PagesWorldOptions = {}): Promise<PagesWorld> {
  const { accounts = [grace, heidi], isShared = false, privateKey } = options
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-pages-'))
  const [certificates, port, api] = await Promise.all([
    writeDevelopmentCertificates(join(folder, 'certificates')),
    freePort(),
    startApiServer(),
  ])
  const apiURL = `https://${API_HOST}:${port}`
  const pagesURL = isShared ? apiURL : `https://${PAGES_HOST}:${port}`
  let gatehouseCA = ''
  const provider = await startIdentityProvider({
    accounts,
    serving: certificates.serving,
    caFile: certificates.ca.certFile,
    pages: {
      url: pagesURL,
      ca: () => gatehouseCA,
      ...(privateKey === undefined
        ? {}
        : { publicKey: createPublicKey(privateKey).export({ format: 'jwk' }) }),
    },
  })
  const providerCA = await readFile(certificates.ca.certFile, 'utf8')
  const audiences = [provider.pagesClientId, provider.commandLineClientId]
  const file = (name: string): string => join(folder, name)
  await Promise.all([
    writeFile(file('cookie-keys'), `${newCookieKey()}\n`, SECRET),
    writeFile(file('client-secret'), `${provider.pagesClientSecret}\n`, SECRET),
    ...(privateKey === undefined
      ? []
      : [
          writeFile(
            file('client-key'),
            privateKey.export({ type: 'pkcs8', format: 'pem' }),
            SECRET,
          ),
        ]),
    writeFile(
      file('authentication.yaml'),
      stringify(authenticationOf(provider, audiences, providerCA)),
    ),
  ])
  const gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    without: isShared ? ['x509'] : [],
    files: options.files ?? {},
    ...(options.issuing === undefined
      ? {}
      : { issuing: { issuers: [provider.issuer], ...options.issuing } }),
    configuration: {
      ...options.configuration,
      listener: { port },
      authentication: { configFile: file('authentication.yaml') },
      signIn: {
        caFile: 'serving-ca.crt',
        displayName: 'Example clusters',
        clusterName: 'production',
        pages: {
          url: pagesURL,
          ...(isShared ? {} : { apiURL }),
          issuer: provider.issuer,
          clientID: provider.pagesClientId,
          ...(privateKey === undefined
            ? { clientSecretFile: file('client-secret') }
            : { privateKeyFile: file('client-key') }),
          cookieKeysFile: file('cookie-keys'),
          ...options.pages,
        },
      },
    },
  })
  gatehouseCA = gatehouse.ca
  return {
    ...{ api, gatehouse, provider, providerCA, pagesURL, apiURL },
    cookieKeysFile: file('cookie-keys'),
    secretFile: file('client-secret'),
    async close() {
      await gatehouse.close()
      await api.close()
      await provider.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** As `openssl rand -base64 32` prints it. */
export function newCookieKey(): string {
  return randomBytes(32).toString('base64')
}

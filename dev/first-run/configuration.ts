/** Writes Gatehouse's configuration for a first run. */
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { DevelopmentCertificates } from '../../certs-dev/generate.ts'
import type { IdentityProvider } from '../identity-provider.ts'
import { copyShippedRules } from './rules.ts'
import { OIDC_PREFIX } from './users.ts'

export interface ConfigurationOptions {
  readonly directory: string
  readonly certificates: DevelopmentCertificates
  readonly identityProvider: Pick<
    IdentityProvider,
    'issuer' | 'clientId' | 'commandLineClientId' | 'pagesClientId' | 'pagesClientSecret'
  >
  /** Path of a kubeconfig of the API server, with Gatehouse's credential. */
  readonly upstreamKubeconfig: string
  readonly port: number
  /** The origin of the sign-in pages. */
  readonly pagesURL: string
  /** 0 means any free port. */
  readonly probesPort: number
  /** `state` of gatehouse.yaml; undefined for its default. */
  readonly state: object | undefined
}

/** Paths of the written files, and of the audit log that Gatehouse will write. */
export interface ConfigurationFiles {
  readonly configFile: string
  /** Only with `state`, for a second replica: the same with free ports and an audit log of its own. */
  readonly secondConfigFile: string
  readonly rulesFile: string
  readonly auditFile: string
}

/** Writes all files into the folder. The rules are a copy, to be edited while Gatehouse runs. */
export async function writeConfiguration(
  options: ConfigurationOptions,
): Promise<ConfigurationFiles> {
  const { directory, certificates } = options
  const rulesFile = join(directory, 'rules.yaml')
  const auditFile = join(directory, 'audit.log')
  const authenticationFile = join(directory, 'authentication.yaml')
  const configFile = join(directory, 'gatehouse.yaml')
  const clientSecretFile = join(directory, 'pages-client-secret')
  const cookieKeysFile = join(directory, 'pages-cookie-keys')
  const secondConfigFile = join(directory, 'gatehouse-2.yaml')
  const configuration = {
    apiVersion: 'gatehouse/v1',
    kind: 'GatehouseConfiguration',
    listener: {
      address: '127.0.0.1',
      port: options.port,
      tls: {
        certFile: certificates.serving.certFile,
        privateKeyFile: certificates.serving.keyFile,
      },
    },
    probes: { address: '127.0.0.1', port: options.probesPort },
    authentication: {
      configFile: authenticationFile,
      x509: {
        clientCAFile: certificates.clientCA.certFile,
        crlFile: certificates.clientCRLFile,
      },
    },
    signIn: {
      displayName: 'Gatehouse for development',
      clusterName: 'gatehouse-development',
      caFile: certificates.ca.certFile,
      methods: [
        {
          name: 'development',
          issuer: options.identityProvider.issuer,
          clientID: options.identityProvider.commandLineClientId,
          scopes: ['offline_access', 'profile', 'email', 'groups'],
          // The provider issues refresh tokens only with consent (OpenID Connect Core section 11).
          extraParameters: [{ name: 'prompt', value: 'consent' }],
          redirectURIs: ['http://127.0.0.1'],
        },
      ],
      pages: {
        url: options.pagesURL,
        apiURL: `https://127.0.0.1:${options.port}`,
        issuer: options.identityProvider.issuer,
        clientID: options.identityProvider.pagesClientId,
        clientSecretFile,
        cookieKeysFile,
      },
    },
    authorization: { rulesFile },
    locks: { administrators: { users: [`${OIDC_PREFIX}grace`] } },
    ...(options.state === undefined ? {} : { state: options.state }),
    audit: { file: { path: auditFile } },
    upstream: { kubeconfig: options.upstreamKubeconfig },
  }
  await copyShippedRules(rulesFile)
  const secret = { mode: 0o600 }
  await writeFile(clientSecretFile, options.identityProvider.pagesClientSecret, secret)
  await writeFile(cookieKeysFile, `${randomBytes(32).toString('base64')}\n`, secret)
  await writeFile(authenticationFile, await authentication(options))
  await writeFile(configFile, stringify(configuration))
  if (options.state !== undefined) {
    const second = {
      ...configuration,
      listener: { ...configuration.listener, port: 0 },
      probes: { ...configuration.probes, port: 0 },
      audit: { file: { path: join(directory, 'audit-2.log') } },
    }
    await writeFile(secondConfigFile, stringify(second))
  }
  return { configFile, secondConfigFile, rulesFile, auditFile }
}

async function authentication(options: ConfigurationOptions): Promise<string> {
  const { issuer, clientId, commandLineClientId, pagesClientId } = options.identityProvider
  return stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: {
          url: issuer,
          audiences: [clientId, commandLineClientId, pagesClientId],
          audienceMatchPolicy: 'MatchAny',
          certificateAuthority: await readFile(options.certificates.ca.certFile, 'utf8'),
        },
        claimMappings: {
          username: { claim: 'preferred_username', prefix: OIDC_PREFIX },
          groups: { claim: 'groups', prefix: OIDC_PREFIX },
        },
      },
    ],
  })
}

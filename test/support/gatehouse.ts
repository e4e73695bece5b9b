/** A complete Gatehouse in the test's process, with its files, an issuer, and credentials for users. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { stringify } from 'yaml'

import {
  createAuthority,
  type Authority,
  type CertificateRequest,
  type KeyPair,
} from '../../certs-dev/pki.ts'
import { formatKubeconfig } from '../../dev/parts/kubeconfig.ts'
import { startGatehouse, type Gatehouse } from '../../src/gatehouse/serve.ts'
import { createLog } from '../../src/log.ts'
import {
  createSigningKey,
  signToken,
  startIssuer,
  type SigningKey,
  type TestIssuer,
} from '../authentication/oidc/issuer.ts'
import type { ApiServer } from './api-server.ts'
import { base64, certificateUser } from './kubeconfig-user.ts'

/** The fields of an audit event that the tests read. */
export interface AuditEvent {
  readonly auditID: string
  readonly stage: string
  readonly requestURI: string
  readonly verb: string
  readonly user: {
    readonly username?: string
    readonly groups?: readonly string[]
    readonly uid?: string
  }
  readonly sourceIPs: readonly string[]
  readonly userAgent?: string
  readonly objectRef?: Readonly<Record<string, string>>
  readonly responseStatus?: {
    readonly code: number
    readonly reason?: string
    readonly message?: string
  }
  readonly annotations: Readonly<Record<string, string>>
}

/** The API server and Gatehouse's credential for it: the path of a kubeconfig, or URL and PEM. */
export type TestUpstream =
  | { readonly kubeconfig: string }
  | { readonly url: string; readonly ca: string; readonly client: KeyPair }

export interface TestGatehouseOptions {
  readonly upstream: TestUpstream
  /** AccessRules. Default: {@link ALLOW_ALL}. */
  readonly rules?: unknown
  /** Merged into the configuration, member by member. */
  readonly configuration?: Readonly<Record<string, unknown>>
  /** Options of the issuer in `authentication.issuers`. */
  readonly issuerOptions?: Readonly<Record<string, unknown>>
  /**
   * Members of a transmitter in `authentication.securityEvents.transmitters`, which may send events about
   * users of the issuer. Default: there is none.
   */
  readonly transmitter?: Readonly<Record<string, unknown>>
  /** More files beside the configuration, by name. */
  readonly files?: Readonly<Record<string, string>>
  /**
   * Members of `authentication.issuedCertificates`, which is configured with a CA in issuing-ca.crt for
   * sign-ins at the test's issuer. Default: Gatehouse issues no certificates.
   */
  readonly issuing?: Readonly<Record<string, unknown>>
  /** Whether to wait until Gatehouse is ready; true by default. */
  readonly waitsForReadiness?: boolean
  /** Another one, whose issuer this one has as well; it closes the issuer. Default: an issuer of its own. */
  readonly issuedBy?: Pick<TestGatehouse, 'issuer' | 'signingKey'>
  /** Authentication methods that are not configured. */
  readonly without?: readonly ('x509' | 'oidc')[]
}

export interface TestGatehouse {
  readonly gatehouse: Gatehouse
  readonly url: string
  readonly port: number
  readonly probesUrl: string
  readonly directory: string
  /** The CA of the serving certificate, PEM. */
  readonly ca: string
  readonly servingAuthority: Authority
  readonly clientAuthority: Authority
  /** The CA in issuing-ca.crt. */
  readonly issuingAuthority: Authority
  readonly issuer: TestIssuer
  readonly signingKey: SigningKey
  /** The lines of the operational log so far. */
  readonly log: readonly string[]
  /** The path of a file in the folder of the configuration. */
  file(name: string): string
  certificate(subject?: Partial<CertificateRequest>): Promise<KeyPair>
  /** A token, by default for ada; her user name has the prefix `oidc:`. */
  token(claims?: Readonly<Record<string, unknown>>): Promise<string>
  /** The audit events so far, in the order in which they were written. */
  events(): Promise<readonly AuditEvent[]>
  /** Waits for `count` events that match; fails after a minute. */
  eventsWhere(
    matches: (event: AuditEvent) => boolean,
    count?: number,
  ): Promise<readonly AuditEvent[]>
  close(): Promise<void>
}

/** AccessRules that allow everything. */
export const ALLOW_ALL = {
  apiVersion: 'gatehouse/v1',
  kind: 'AccessRules',
  rules: [
    {
      name: 'everything',
      effect: 'allow',
      verbs: ['*'],
      resources: [{ apiGroups: ['*'], resources: ['*'] }],
      nonResourceURLs: ['*'],
    },
  ],
}

/** AccessRules that allow everything, but deny secrets to a group of the issuer. */
export function noSecretsFor(group: string) {
  return {
    ...ALLOW_ALL,
    rules: [
      ...ALLOW_ALL.rules,
      {
        name: `no-secrets-for-${group}`,
        effect: 'deny',
        subjects: { groups: [`oidc:${group}`] },
        verbs: ['*'],
        resources: [{ apiGroups: [''], resources: ['secrets'] }],
      },
    ],
  }
}

/** The mode of files with a private key or a token: Gatehouse warns of others. */
export const SECRET = { mode: 0o600 } as const

/** The upstream for a fake API server. */
export function upstreamOf(api: ApiServer): TestUpstream {
  return { url: api.url, ca: api.authority.certificatePem, client: api.gatehouse }
}

/** Starts Gatehouse on free ports of 127.0.0.1 and waits until it is ready. */
export async function startTestGatehouse(options: TestGatehouseOptions): Promise<TestGatehouse> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-test-'))
  const file = (name: string): string => join(directory, name)
  const { issuedBy } = options
  const [servingAuthority, clientAuthority, issuingAuthority, signingKey] = await Promise.all([
    createAuthority({ commonName: 'serving' }),
    createAuthority({ commonName: 'users' }),
    createAuthority({ commonName: 'issuing' }),
    issuedBy?.signingKey ?? createSigningKey('first'),
  ])
  const issuer = issuedBy?.issuer ?? (await startIssuer([signingKey.publicJwk]))
  const serving = await servingAuthority.issue({
    commonName: 'gatehouse',
    ipAddresses: ['127.0.0.1'],
    dnsNames: ['localhost', 'login.localhost'],
    usages: ['server'],
  })
  await Promise.all([
    writeFile(file('serving.crt'), serving.certificatePem),
    writeFile(file('serving.key'), serving.keyPem, SECRET),
    writeFile(file('client-ca.crt'), clientAuthority.certificatePem),
    writeFile(file('issuing-ca.crt'), issuingAuthority.certificatePem),
    writeFile(file('issuing-ca.key'), issuingAuthority.keyPem, SECRET),
    // For signIn.caFile.
    writeFile(file('serving-ca.crt'), servingAuthority.certificatePem),
    writeFile(file('rules.yaml'), stringify(options.rules ?? ALLOW_ALL)),
    writeFile(file('authentication.yaml'), stringify(authenticationOf(issuer))),
    ...Object.entries(options.files ?? {}).map(([name, text]) =>
      writeFile(file(name), text, SECRET),
    ),
    writeFile(file('upstream.kubeconfig'), await kubeconfigOf(options.upstream), SECRET),
  ])
  const { issuerOptions } = options
  const issuers = issuerOptions === undefined ? [] : [{ url: issuer.url, ...issuerOptions }]
  const base = overlay(baseConfiguration(options.without ?? []), {
    authentication: {
      ...{ issuers, ...issuedCertificates(options.issuing, issuer) },
      ...securityEvents(options.transmitter, issuer),
    },
  })
  const configuration = overlay(base, options.configuration)
  await writeFile(file('gatehouse.yaml'), stringify(configuration))

  const lines: string[] = []
  const log = createLog({ level: 'trace', destination: { write: (line) => lines.push(line) } })
  const gatehouse = await startGatehouse({
    configFile: file('gatehouse.yaml'),
    inCluster: { host: '', port: '', folder: '' },
    log,
    processMetrics: false,
  })
  const probesUrl = `http://127.0.0.1:${gatehouse.probes.port}`
  if (options.waitsForReadiness !== false) await waitUntilReady(probesUrl)

  const events = async (): Promise<readonly AuditEvent[]> =>
    (await readFile(file('audit.log'), 'utf8'))
      .split('\n')
      // After the last newline there is nothing, or a line that is still being written.
      .slice(0, -1)
      .map((line) => JSON.parse(line) as AuditEvent)

  return {
    gatehouse,
    url: `https://127.0.0.1:${gatehouse.address.port}`,
    port: gatehouse.address.port,
    probesUrl,
    directory,
    ca: servingAuthority.certificatePem,
    servingAuthority,
    clientAuthority,
    issuingAuthority,
    issuer,
    signingKey,
    log: lines,
    file,
    certificate: (subject) =>
      clientAuthority.issue({ commonName: 'ada', usages: ['client'], ...subject }),
    token: (claims = {}) => signToken(issuer, signingKey, { claims }),
    events,
    async eventsWhere(matches, count = 1) {
      let found: readonly AuditEvent[] = []
      for (let i = 0; i < 1_200; i++) {
        found = (await events()).filter(matches)
        if (found.length >= count) return found
        await sleep(50)
      }
      throw new Error(`timed out waiting for ${count} audit events; ${found.length} matched`)
    },
    async close() {
      await gatehouse.close(true)
      if (issuedBy === undefined) await issuer.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Waits until `/readyz` succeeds; throws with its last response after a minute. */
export async function waitUntilReady(probesUrl: string): Promise<void> {
  let body = ''
  for (let i = 0; i < 1_200; i++) {
    const response = await fetch(`${probesUrl}/readyz?verbose`)
    body = await response.text()
    if (response.ok) return
    await sleep(50)
  }
  throw new Error(`not ready:\n${body}`)
}

function issuedCertificates(members: TestGatehouseOptions['issuing'], issuer: TestIssuer) {
  if (members === undefined) return {}
  const files = { caFile: 'issuing-ca.crt', privateKeyFile: 'issuing-ca.key' }
  return { issuedCertificates: { ...files, issuers: [issuer.url], ...members } }
}

function securityEvents(members: TestGatehouseOptions['transmitter'], issuer: TestIssuer) {
  if (members === undefined) return {}
  return { securityEvents: { transmitters: [{ issuers: [issuer.url], ...members }] } }
}

function authenticationOf(issuer: TestIssuer): unknown {
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: {
          url: issuer.url,
          audiences: ['kubernetes'],
          certificateAuthority: issuer.certificateAuthority,
        },
        claimMappings: {
          username: { claim: 'sub', prefix: 'oidc:' },
          groups: { claim: 'groups', prefix: 'oidc:' },
        },
      },
    ],
  }
}

/** The text of a kubeconfig for an upstream. */
export async function kubeconfigOf(upstream: TestUpstream): Promise<string> {
  if ('kubeconfig' in upstream) return readFile(upstream.kubeconfig, 'utf8')
  return formatKubeconfig({
    cluster: { server: upstream.url, 'certificate-authority-data': base64(upstream.ca) },
    user: certificateUser(upstream.client),
  })
}

function baseConfiguration(without: readonly string[]): Record<string, unknown> {
  return {
    apiVersion: 'gatehouse/v1',
    kind: 'GatehouseConfiguration',
    listener: {
      address: '127.0.0.1',
      port: 0,
      tls: { certFile: 'serving.crt', privateKeyFile: 'serving.key' },
    },
    probes: { address: '127.0.0.1', port: 0 },
    authentication: {
      ...(without.includes('oidc') ? {} : { configFile: 'authentication.yaml' }),
      ...(without.includes('x509') ? {} : { x509: { clientCAFile: 'client-ca.crt' } }),
    },
    authorization: { rulesFile: 'rules.yaml' },
    audit: { file: { path: 'audit.log' } },
    // Tests send many bad credentials from one address.
    limits: { failedSignIns: { perUser: 1_000_000, perAddress: 1_000_000, banAfter: 1_000_000 } },
    upstream: { kubeconfig: 'upstream.kubeconfig' },
    shutdown: { gracePeriod: '2s' },
  }
}

/** Merges objects; replaces everything else. */
function overlay(base: unknown, over: unknown): unknown {
  if (over === undefined) return base
  if (!isObject(base) || !isObject(over)) return over
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) merged[key] = overlay(merged[key], value)
  return merged
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

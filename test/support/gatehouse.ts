/** A whole Gatehouse in the test's process, with its files, an issuer and ways to sign in. */
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

/** As much of an audit event as tests look at. */
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

/** Where Gatehouse's upstream is and how Gatehouse signs in there; PEM, or a kubeconfig that is there. */
export type TestUpstream =
  | { readonly kubeconfig: string }
  | { readonly url: string; readonly ca: string; readonly client: KeyPair }

export interface TestGatehouseOptions {
  readonly upstream: TestUpstream
  /** AccessRules; everything is allowed unless said otherwise. */
  readonly rules?: unknown
  /** Laid over the configuration, member by member. */
  readonly configuration?: Readonly<Record<string, unknown>>
  /** Authenticators that are left out. */
  readonly without?: readonly ('x509' | 'oidc')[]
}

export interface TestGatehouse {
  readonly gatehouse: Gatehouse
  readonly url: string
  readonly port: number
  readonly probesUrl: string
  readonly directory: string
  /** PEM of the CA of the serving certificate. */
  readonly ca: string
  readonly servingAuthority: Authority
  readonly clientAuthority: Authority
  readonly issuer: TestIssuer
  readonly signingKey: SigningKey
  /** Lines of the operational log so far. */
  readonly log: readonly string[]
  /** A file of the configuration, by its name in the folder. */
  file(name: string): string
  certificate(subject?: Partial<CertificateRequest>): Promise<KeyPair>
  /** A token for ada (prefix `oidc:`), unless the claims say otherwise. */
  token(claims?: Readonly<Record<string, unknown>>): Promise<string>
  /** All events so far, in the order written. */
  events(): Promise<readonly AuditEvent[]>
  /** Waits for events that fit; fails after 10 seconds. */
  eventsWhere(fits: (event: AuditEvent) => boolean, count?: number): Promise<readonly AuditEvent[]>
  close(): Promise<void>
}

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

/** An upstream entry for a stand-in API server. */
export function upstreamOf(api: ApiServer): TestUpstream {
  return { url: api.url, ca: api.authority.certificatePem, client: api.gatehouse }
}

export async function startTestGatehouse(options: TestGatehouseOptions): Promise<TestGatehouse> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-test-'))
  const file = (name: string): string => join(directory, name)
  const [servingAuthority, clientAuthority, signingKey] = await Promise.all([
    createAuthority({ commonName: 'serving' }),
    createAuthority({ commonName: 'users' }),
    createSigningKey('first'),
  ])
  const issuer = await startIssuer([signingKey.publicJwk])
  const serving = await servingAuthority.issue({
    commonName: 'gatehouse',
    ipAddresses: ['127.0.0.1'],
    dnsNames: ['localhost'],
    usages: ['server'],
  })
  await Promise.all([
    writeFile(file('serving.crt'), serving.certificatePem),
    writeFile(file('serving.key'), serving.keyPem),
    writeFile(file('client-ca.crt'), clientAuthority.certificatePem),
    writeFile(file('rules.yaml'), stringify(options.rules ?? ALLOW_ALL)),
    writeFile(file('authentication.yaml'), stringify(authenticationOf(issuer))),
    writeFile(file('upstream.kubeconfig'), await kubeconfigOf(options.upstream)),
  ])
  const configuration = overlay(baseConfiguration(options.without ?? []), options.configuration)
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
  await waitUntilReady(probesUrl)

  const events = async (): Promise<readonly AuditEvent[]> =>
    (await readFile(file('audit.log'), 'utf8'))
      .split('\n')
      // Behind the last newline is nothing, or a line that is just being written.
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
    issuer,
    signingKey,
    log: lines,
    file,
    certificate: (subject) =>
      clientAuthority.issue({ commonName: 'ada', usages: ['client'], ...subject }),
    token: (claims = {}) => signToken(issuer, signingKey, { claims }),
    events,
    async eventsWhere(fits, count = 1) {
      let found: readonly AuditEvent[] = []
      for (let i = 0; i < 200; i++) {
        found = (await events()).filter(fits)
        if (found.length >= count) return found
        await sleep(50)
      }
      throw new Error(`waited in vain for ${count} audit events; ${found.length} fit`)
    },
    async close() {
      await gatehouse.close(true)
      await issuer.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Waits for `/readyz`; throws with its last answer after 20 seconds. */
export async function waitUntilReady(probesUrl: string): Promise<void> {
  let answer = ''
  for (let i = 0; i < 400; i++) {
    const response = await fetch(`${probesUrl}/readyz?verbose`)
    answer = await response.text()
    if (response.ok) return
    await sleep(50)
  }
  throw new Error(`not ready:\n${answer}`)
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

export async function kubeconfigOf(upstream: TestUpstream): Promise<string> {
  if ('kubeconfig' in upstream) return readFile(upstream.kubeconfig, 'utf8')
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64')
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'upstream',
        cluster: { server: upstream.url, 'certificate-authority-data': base64(upstream.ca) },
      },
    ],
    users: [
      {
        name: 'gatehouse',
        user: {
          'client-certificate-data': base64(upstream.client.certificatePem),
          'client-key-data': base64(upstream.client.keyPem),
        },
      },
    ],
    contexts: [{ name: 'upstream', context: { cluster: 'upstream', user: 'gatehouse' } }],
    'current-context': 'upstream',
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
    upstream: { kubeconfig: 'upstream.kubeconfig' },
    shutdown: { gracePeriod: '2s' },
  }
}

/** Objects are merged, everything else is replaced. */
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

/** What is wrong with `authentication.issuedCertificates` is found before Gatehouse starts. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { formatKubeconfig } from '../../dev/parts/kubeconfig.ts'
import { formatProblem, ConfigError } from '../../src/config/problem.ts'
import { checkAll } from '../../src/gatehouse/load.ts'
import { ALLOW_ALL, SECRET } from '../support/gatehouse.ts'
import { base64, certificateUser } from '../support/kubeconfig-user.ts'

const ISSUER = 'https://login.example.com'
let folder = ''
let issuing: Authority
let clients: Authority
let upstream: Authority
let pair: KeyPair

beforeAll(async () => {
  const names = ['issuing', 'clients', 'upstream']
  const made = await Promise.all(names.map((commonName) => createAuthority({ commonName })))
  ;[issuing, clients, upstream] = made as [Authority, Authority, Authority]
  pair = await upstream.issue({ commonName: 'g', dnsNames: ['g.example'], usages: ['server'] })
})
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-issuing-'))
})
afterEach(() => rm(folder, { recursive: true }))

interface Given {
  readonly ca?: string
  readonly key?: string
  readonly members?: Readonly<Record<string, unknown>>
  readonly clientCA?: string
}

/** The problems, without the path of the folder. */
async function problems(given: Given): Promise<readonly string[]> {
  const files = {
    'issuing-ca.crt': given.ca ?? issuing.certificatePem,
    'issuing-ca.key': given.key ?? issuing.keyPem,
    'client-ca.crt': given.clientCA ?? clients.certificatePem,
    'serving.crt': pair.certificatePem,
    'serving.key': pair.keyPem,
    'rules.yaml': stringify(ALLOW_ALL),
    'authentication.yaml': stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'AuthenticationConfiguration',
      jwt: [
        {
          issuer: { url: ISSUER, audiences: ['kubernetes'] },
          claimMappings: { username: { claim: 'sub', prefix: 'oidc:' } },
        },
      ],
    }),
    'upstream.kubeconfig': formatKubeconfig({
      cluster: {
        server: 'https://127.0.0.1:6443',
        'certificate-authority-data': base64(upstream.certificatePem),
      },
      user: certificateUser(pair),
    }),
    'gatehouse.yaml': stringify({
      apiVersion: 'gatehouse/v1',
      kind: 'GatehouseConfiguration',
      listener: { tls: { certFile: 'serving.crt', privateKeyFile: 'serving.key' } },
      authentication: {
        configFile: 'authentication.yaml',
        x509: { clientCAFile: 'client-ca.crt' },
        issuedCertificates: {
          caFile: 'issuing-ca.crt',
          privateKeyFile: 'issuing-ca.key',
          issuers: [ISSUER],
          ...given.members,
        },
      },
      authorization: { rulesFile: 'rules.yaml' },
      audit: { file: { path: 'audit.log' } },
      upstream: { kubeconfig: 'upstream.kubeconfig' },
    }),
  }
  for (const [name, text] of Object.entries(files))
    await writeFile(join(folder, name), text, SECRET)
  try {
    checkAll(join(folder, 'gatehouse.yaml'), {
      inCluster: { host: '', port: '', folder: '' },
    })
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, ''))
  }
}

test('a CA of Gatehouse alone is accepted', async () => {
  expect(await problems({})).toEqual([])
})

test('a program may hold the key', async () => {
  const members = { privateKeyFile: undefined, signCommand: { command: ['/bin/sign', 'key'] } }
  expect(await problems({ members })).toEqual([])
})

test('a CA that the client CA has signed is refused, and so is the client CA itself', async () => {
  const below = await clients.createIntermediate({ commonName: 'below' })
  for (const { certificatePem: ca, keyPem: key } of [below, clients]) {
    expect(await problems({ ca, key })).toEqual([
      expect.stringMatching(
        /gatehouse.yaml:\d+:\d+: .*issuing-ca.crt contains the issuing CA, which is trusted by authentication.x509.clientCAFile \(use only CAs of Gatehouse alone/,
      ),
    ])
  }
})

test('an earlier CA that the client CA has signed is refused', async () => {
  const below = await clients.createIntermediate({ commonName: 'below' })
  expect(await problems({ ca: issuing.certificatePem + below.certificatePem })).toEqual([
    expect.stringContaining(
      'contains an earlier issuing CA (certificate 2 of 2), which is trusted',
    ),
  ])
})

test('the CA of the API server is refused', async () => {
  const { certificatePem: ca, keyPem: key } = upstream
  expect(await problems({ ca, key })).toEqual([
    expect.stringContaining('is trusted by the CA of the API server in upstream'),
  ])
})

test.for<readonly [what: string, given: () => Given, expected: RegExp]>([
  ['no certificate', () => ({ ca: 'x' }), /issuing-ca.crt contains no certificate/],
  [
    'a certificate of a user',
    () => ({ ca: pair.certificatePem, key: pair.keyPem }),
    /certificate 1 of 1 is not a CA/,
  ],
  ['no key', () => ({ key: 'x' }), /issuing-ca.key is not a private key/],
  ['the key of another CA', () => ({ key: clients.keyPem }), /is not the key of the issuing CA/],
  [
    'a public key',
    () => ({
      key: generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }),
    }),
    /is not a private key/,
  ],
  [
    'both ways to sign',
    () => ({ members: { signCommand: { command: ['/bin/sign'] } } }),
    /signCommand: conflicts with privateKeyFile/,
  ],
  [
    'no way to sign',
    () => ({ members: { privateKeyFile: undefined } }),
    /does not say how certificates are signed/,
  ],
  ['no sign-in', () => ({ members: { issuers: [] } }), /for which sign-ins/],
  [
    'an issuer that is not configured',
    () => ({ members: { issuers: ['https://other.example'] } }),
    /issuers\[0\]: "https:\/\/other.example" is not an issuer/,
  ],
  [
    'a program without its path',
    () => ({ members: { privateKeyFile: undefined, signCommand: { command: ['sign'] } } }),
    /does not begin with \//,
  ],
  [
    'a lifetime of two days',
    () => ({ members: { maxLifetime: '48h' } }),
    /is not between 1m and 24h/,
  ],
  ['an age of a year', () => ({ members: { maxSignInAge: '590h' } }), /is not between 5m and 168h/],
])('%s is a problem', async ([, given, expected]) => {
  expect(await problems(given())).toContainEqual(expect.stringMatching(expected))
})

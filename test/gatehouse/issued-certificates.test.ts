/** What is wrong with `authentication.issuedCertificates` is found before Gatehouse starts. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { formatKubeconfig } from '../../dev/parts/kubeconfig.ts'
import { ConfigError, formatProblem, type ConfigProblem } from '../../src/config/problem.ts'
import { checkAll } from '../../src/gatehouse/load.ts'
import { ALLOW_ALL, SECRET } from '../support/gatehouse.ts'
import { base64, certificateUser } from '../support/kubeconfig-user.ts'

const ISSUER = 'https://login.example.com'
let folder = ''
let issuing: Authority
let clients: Authority
let upstream: Authority
let partners: Authority
let others: Authority
let pair: KeyPair

beforeAll(async () => {
  const names = ['issuing', 'clients', 'upstream', 'partners', 'others']
  const made = await Promise.all(names.map((commonName) => createAuthority({ commonName })))
  ;[issuing, clients, upstream, partners, others] = made as [
    Authority,
    Authority,
    Authority,
    Authority,
    Authority,
  ]
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
  readonly x509?: object
  /** `authentication.issuers` */
  readonly issuers?: readonly object[]
  readonly rules?: object
}

/** The problems, without the path of the folder. */
async function problems(given: Given): Promise<readonly string[]> {
  try {
    await warnings(given)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return texts(error.problems)
  }
}

function texts(problems: readonly ConfigProblem[]): readonly string[] {
  return problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, ''))
}

/** @throws ConfigError */
async function warnings(given: Given): Promise<readonly string[]> {
  const files = {
    'issuing-ca.crt': given.ca ?? issuing.certificatePem,
    'issuing-ca.key': given.key ?? issuing.keyPem,
    'client-ca.crt': given.clientCA ?? clients.certificatePem,
    'partner-ca.crt': partners.certificatePem,
    'other-ca.crt': others.certificatePem,
    'serving.crt': pair.certificatePem,
    'serving.key': pair.keyPem,
    'rules.yaml': stringify(given.rules ?? ALLOW_ALL),
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
        x509: given.x509 ?? { clientCAFile: 'client-ca.crt' },
        issuers: given.issuers ?? [],
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
  return texts(
    checkAll(join(folder, 'gatehouse.yaml'), { inCluster: { host: '', port: '', folder: '' } }),
  )
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

const directoryOf = (name: string, usernamePrefix: string, groupPrefix = `${name}:`) => ({
  ...{ name, usernamePrefix, groupPrefix, servers: [`ldaps://${name}`] },
  ...{ caFile: 'client-ca.crt', bindDN: 'cn=gatehouse', bindPasswordFile: 'issuing-ca.key' },
  users: { baseDN: 'dc=example' },
})

test('two directories whose names could be the same are refused', async () => {
  // The user "b:eve" of the first would have the name of "eve" of the second.
  const directories = [
    directoryOf('one', 'ldap:'),
    directoryOf('two', 'ldap:b:'),
    directoryOf('three', 'three:', 'one:'),
  ]
  expect(await problems({ members: { directories } })).toEqual([
    expect.stringContaining(
      'directories[1].usernamePrefix: "ldap:b:", with which its names begin, overlaps with "ldap:" of directories[0] (choose another prefix)',
    ),
    expect.stringContaining(
      'directories[2].groupPrefix: "one:", with which its names begin, overlaps with "one:" of directories[0] (choose another prefix)',
    ),
  ])
  expect(await problems({ members: { directories: directories.slice(0, 1) } })).toEqual([])
})

test('names of a directory that could be those of a client CA are refused', async () => {
  const directories = [directoryOf('one', 'partner:ldap:'), directoryOf('two', 'two:', 'spiffe')]
  const authorities = [
    { caFile: 'partner-ca.crt', usernamePrefix: 'partner:', groupPrefix: 'spiffe:' },
    { caFile: 'other-ca.crt', usernameFrom: 'spiffeID', trustDomain: 'one.example' },
  ]
  const x509 = { clientCAFile: 'client-ca.crt', authorities }
  expect(await problems({ members: { directories }, x509 })).toEqual([
    expect.stringContaining(
      'directories[0].usernamePrefix: "partner:ldap:", with which its names begin, overlaps with "partner:" of authorities[0] (',
    ),
    expect.stringContaining(
      'directories[1].groupPrefix: "spiffe", with which its names begin, overlaps with "spiffe:" of authorities[0] (',
    ),
  ])
  expect(
    await problems({ members: { directories: [directoryOf('one', 'spiffe:')] }, x509 }),
  ).toEqual([
    expect.stringMatching(/directories\[0\]\.usernamePrefix: .*"spiffe:\/\/one.example\/" of auth/),
  ])
})

test('names of an issuer that could be those of a directory are refused', async () => {
  const overlapping = [
    'authentication.yaml:11:9: jwt[0].claimMappings.username.prefix: "oidc:" overlaps with "oidc:b:", with which user names of a directory in gatehouse.yaml begin (set a prefix, or another one for the directory)',
  ]
  for (const sharesNames of [false, true]) {
    const issuers = [{ url: ISSUER, sharesNames }]
    const found = (prefix: string) =>
      problems({ members: { directories: [directoryOf('one', prefix)] }, issuers })
    expect(await found('oidc:b:')).toEqual(overlapping)
    expect(await found('oidc')).toHaveLength(1)
    expect(await found('ldap:')).toEqual([])
  }
})

test('rules may name users and groups of a directory, and other names are probably a mistake', async () => {
  const found = (user: string, group: string) =>
    warnings({
      members: { directories: [directoryOf('one', 'ldap:')] },
      x509: {
        authorities: [{ caFile: 'partner-ca.crt', usernamePrefix: 'p:', groupPrefix: 'p:' }],
      },
      rules: {
        ...ALLOW_ALL,
        rules: ALLOW_ALL.rules.map((rule) => ({
          ...rule,
          subjects: { users: [user], groups: [group] },
        })),
      },
    })
  expect(await found('ldap:ada', 'one:developers')).toEqual([])
  expect(await found('ada', 'developers')).toEqual([
    expect.stringContaining('did you mean "oidc:ada" or "p:ada" or "ldap:ada"?'),
    expect.stringContaining('did you mean "p:developers" or "one:developers"?'),
  ])
})

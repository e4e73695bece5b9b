/** `signIn.pages` of gatehouse.yaml, without the files that it names. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { readConfiguration } from '../../src/config/load.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-pages-'))
const at = (name: string): string => join(folder, name)
for (const name of [
  'tls.crt',
  'tls.key',
  'rules.yaml',
  'up.kubeconfig',
  'ca.crt',
  'oidc.yaml',
  'x',
]) {
  writeFileSync(at(name), '')
}
afterAll(() => rmSync(folder, { recursive: true }))

const PAGES = {
  url: 'https://login.example.com',
  apiURL: 'https://gatehouse.example.com',
  issuer: 'https://issuer.example.com',
  clientID: 'pages',
  clientSecretFile: 'x',
  cookieKeysFile: 'x',
}

/** The problems as `field: message`; a member that is undefined is left out. */
function problems(
  pages: Readonly<Record<string, unknown>>,
  authentication: object = { configFile: 'oidc.yaml', x509: { clientCAFile: 'ca.crt' } },
): string[] {
  const configuration = {
    apiVersion: 'gatehouse/v1',
    kind: 'GatehouseConfiguration',
    listener: { tls: { certFile: 'tls.crt', privateKeyFile: 'tls.key' } },
    authentication,
    authorization: { rulesFile: 'rules.yaml' },
    audit: { file: { path: 'audit.log' } },
    upstream: { kubeconfig: 'up.kubeconfig' },
    signIn: { pages: { ...PAGES, ...pages } },
  }
  writeFileSync(at('gatehouse.yaml'), stringify(configuration))
  return readConfiguration(at('gatehouse.yaml')).problems.map(
    ({ field, message }) => `${field}: ${message}`,
  )
}

test('pages with a name of their own are accepted, beside client certificates', () => {
  expect(problems({})).toEqual([])
})

test('pages on the host of the API are accepted, without client certificates', () => {
  expect(problems({ apiURL: undefined }, { configFile: 'oidc.yaml' })).toEqual([])
})

const ASKED = 'browsers would be asked for a client certificate'

test.for([
  ['no credential', { clientSecretFile: undefined }, 'signIn.pages: has no credential'],
  ['two credentials', { privateKeyFile: 'x' }, 'signIn.pages: has two credentials'],
  ['a key ID without a key', { privateKeyID: 'k' }, 'signIn.pages.privateKeyID: has no effect'],
  ['plain HTTP', { url: 'http://login.example.com' }, 'signIn.pages.url: "http://login'],
  ['a path', { url: 'https://login.example.com/x' }, 'signIn.pages.url: "https://login'],
  ['no URL of the API', { apiURL: undefined }, 'signIn.pages.apiURL: is required with'],
  ['the host of the API', { url: 'https://gatehouse.example.com:8443' }, ASKED],
  ['an address', { url: 'https://192.0.2.1' }, ASKED],
  ['an IPv6 address', { url: 'https://[2001:db8::1]' }, ASKED],
  ['a session that never ends', { sessionLifetime: '24h' }, 'is not from 1m to 12h'],
  ['a session of seconds', { sessionLifetime: '10s' }, 'is not from 1m to 12h'],
  ['a parameter of the protocol', { extraParameters: [{ name: 'state', value: 'x' }] }, '"state"'],
] as const)('pages with %s are refused', ([, pages, problem]) => {
  const [found, ...more] = problems(pages)
  expect(more).toEqual([])
  expect(found).toContain(problem)
})

test('pages without issuers are refused', () => {
  expect(problems({}, { x509: { clientCAFile: 'ca.crt' } })).toEqual([
    'signIn.pages: has no effect without authentication.configFile',
  ])
})

test.for<readonly [string, object]>([
  ['boundTokens.selfSignedCertificates', { boundTokens: { selfSignedCertificates: 'accept' } }],
  [
    'issuedCertificates',
    {
      issuedCertificates: {
        ...{ caFile: 'ca.crt', privateKeyFile: 'ca.crt' },
        issuers: ['https://issuer.example'],
      },
    },
  ],
])('pages on the host of the API are refused with %s', ([field, authentication]) => {
  expect(problems({ apiURL: undefined }, { configFile: 'oidc.yaml', ...authentication })).toEqual([
    expect.stringContaining(`signIn.pages.apiURL: is required with authentication.${field}: no`),
  ])
})

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createAuthority } from '../../../certs-dev/pki.ts'
import {
  accessFiles,
  loadAccess,
  type IssuerAccess,
} from '../../../src/authentication/oidc/issuer-access.ts'
import { formatProblem, type ConfigProblem } from '../../../src/config/problem.ts'
import { issuerOptions } from '../../../src/config/schema/issuer-options.ts'
import { createSigningKey, type SigningKey } from './issuer.ts'

const URL = 'https://issuer.example'
const DEFAULTS = {
  url: URL,
  missingGroups: 'unknown',
  sharesNames: false,
  backchannelLogout: false,
  cachedKeyLifetime: 60_000,
} as const

let directory: string
let key: SigningKey
let ca: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-test-'))
  key = await createSigningKey('first')
  ca = (await createAuthority({ commonName: 'issuers' })).certificatePem
})

afterAll(() => rm(directory, { recursive: true, force: true }))

async function fileWith(text: string): Promise<string> {
  const file = join(directory, 'file')
  await writeFile(file, text)
  return file
}

/** What the options hold, or the problems without the name of the file. */
function load(options: Partial<Parameters<typeof accessFiles>[0]>): IssuerAccess | string {
  const problems: ConfigProblem[] = []
  const access = loadAccess([{ ...DEFAULTS, ...options }], problems).get(URL)
  return access ?? problems.map((one) => formatProblem(one).replace(/^.*\/file: /, '')).join('\n')
}

const jwks = (...keys: unknown[]): string => JSON.stringify({ keys })

test('a key set is read from its file, and unusable keys are named', async () => {
  const weak = { kty: 'oct-unknown', kid: 'odd' }
  const jwksFile = await fileWith(jwks(key.publicJwk, weak, { ...key.publicJwk, use: 'enc' }))
  const access = load({ jwksFile })
  expect(access).toMatchObject({
    keys: {
      usable: [{ kid: 'first' }],
      skipped: [{ kid: 'odd', reason: 'it is not a supported RSA or EC key' }],
    },
    keyLifetime: 60_000,
  })
})

const KEY_SET_FIX = "(provide the document at the issuer's jwks_uri)"

test.for([
  ['is not JSON', 'keys:', `is not JSON ${KEY_SET_FIX}`],
  ['is not a key set', '[]', `the document is not a JWK Set ${KEY_SET_FIX}`],
  ['has no key', jwks(), `contains no usable key ${KEY_SET_FIX}`],
  ['has no usable key', jwks({ kty: 'OKP' }), `contains no usable key ${KEY_SET_FIX}`],
  [
    'has too many keys',
    jwks(...Array.from({ length: 101 }, () => ({}))),
    `the JWK Set has more than 100 keys ${KEY_SET_FIX}`,
  ],
] as const)('a key set file that %s is a problem', async ([, text, problem]) => {
  expect(load({ jwksFile: await fileWith(text) })).toBe(problem)
})

test.for([
  ['private', { d: 'AQAB' }],
  ['symmetric', { kty: 'oct', k: 'c2VjcmV0' }],
] as const)('a key set file with a %s key is a problem', async ([, members]) => {
  const jwksFile = await fileWith(jwks({ ...key.publicJwk, ...members }))
  expect(load({ jwksFile })).toContain('contains a private or symmetric key')
  expect(load({ jwksFile })).not.toMatch(/AQAB|c2VjcmV0/)
})

test('the CA of an issuer is read from its file', async () => {
  const certificateAuthorityFile = await fileWith(ca)
  expect(load({ certificateAuthorityFile })).toMatchObject({ certificateAuthority: ca })
})

test.for([
  ['nothing', ''],
  ['a private key', '-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n'],
  ['a broken certificate', '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n'],
] as const)('a CA file with %s is a problem', async ([, text]) => {
  const certificateAuthorityFile = await fileWith(text)
  expect(load({ certificateAuthorityFile })).toMatch(/^is not a bundle of PEM certificates/)
  const proxy = { url: 'https://proxy.example', certificateAuthorityFile }
  expect(load({ proxy })).toMatch(/^is not a bundle of PEM certificates/)
})

test.for(['gate:secret', 'gate:secret\n', 'gate:secret\r\n'])(
  'the credentials of a proxy are read without the end of the line: %j',
  async (text) => {
    const proxy = { url: 'http://proxy.example', credentialsFile: await fileWith(text) }
    expect(load({ proxy })).toMatchObject({ proxy: { credentials: 'gate:secret' } })
  },
)

test.for(['', 'secret', ':secret', 'gate:', 'gate:secret\n\n', 'gate:sec\nret', 'gate:secret\0'])(
  'credentials of a proxy in another form are a problem that does not quote them: %j',
  async (text) => {
    const proxy = { url: 'http://proxy.example', credentialsFile: await fileWith(text) }
    expect(load({ proxy })).toBe(
      'is not of the form USER:PASSWORD, on one line (write it in this form)',
    )
  },
)

test('every file of the options is listed, and each that is missing is a problem', () => {
  const missing = (name: string): string => join(directory, name)
  const options = {
    ...DEFAULTS,
    jwksFile: missing('a'),
    certificateAuthorityFile: missing('b'),
    proxy: {
      url: 'http://proxy.example',
      certificateAuthorityFile: missing('c'),
      credentialsFile: missing('d'),
    },
  }
  expect(accessFiles(options)).toEqual(['a', 'b', 'c', 'd'].map(missing))
  const problems: ConfigProblem[] = []
  expect(loadAccess([options], problems).size).toBe(0)
  expect(problems.map(({ file }) => file)).toEqual(accessFiles(options))
})

test('the files of a source of groups are listed', () => {
  const options = issuerOptions.parse({
    url: 'https://login.example',
    groupSource: {
      googleWorkspace: { serviceAccountKeyFile: 'key.json', adminUser: 'ada@example.com' },
      certificateAuthorityFile: 'ca.crt',
    },
  })
  expect(accessFiles(options)).toEqual(['key.json', 'ca.crt'])
})

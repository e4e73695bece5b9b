/** Kubeconfigs that kubectl 1.36 takes, asked for each: null, empty and absent are the same. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { loadKubeconfig } from '../../src/cluster/kubeconfig.ts'
import { ConfigError } from '../../src/config/problem.ts'

let folder: string
let authority: Authority
let client: KeyPair

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-kubeconfig-'))
  authority = await createAuthority({ commonName: 'api' })
  client = await authority.issue({ commonName: 'gatehouse', usages: ['client'] })
  await writeFile(join(folder, 'token'), 'from-file\n')
})

afterAll(() => rm(folder, { recursive: true }))

type Members = Readonly<Record<string, unknown>>

interface Parts {
  readonly cluster?: Members
  readonly user?: Members
  readonly context?: Members
  readonly top?: Members
  readonly withoutCertificate?: boolean
}

const base64 = (text: string) => Buffer.from(text).toString('base64')

/** The endpoint and credential of a kubeconfig, or its problems. JSON is YAML. */
async function load({ cluster, user, context, top, withoutCertificate = false }: Parts) {
  const certificate = {
    'client-certificate-data': base64(client.certificatePem),
    'client-key-data': base64(client.keyPem),
  }
  const kubeconfig = join(folder, 'config')
  const ca = { 'certificate-authority-data': base64(authority.certificatePem) }
  const entries = {
    clusters: [
      { name: 'k', cluster: { server: 'https://127.0.0.1:6443', ...ca, ...cluster } },
    ] as unknown[],
    users: [{ name: 'u', user: { ...(withoutCertificate ? {} : certificate), ...user } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u', ...context } }],
  }
  const others = Object.entries(top ?? {}).map(([field, value]) => [
    field,
    Array.isArray(value) ? [...(value as unknown[]), ...entries[field as 'users']] : value,
  ])
  await writeFile(
    kubeconfig,
    JSON.stringify({ ...entries, 'current-context': 'c', ...Object.fromEntries(others) }),
  )
  try {
    const { endpoint, token } = loadKubeconfig({ kubeconfig, context: undefined })
    const { serverName, cert } = endpoint.tls
    return { serverName, token, hasCertificate: cert !== undefined }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ field, message }) => `${field} ${message}`)
  }
}

const WITH_CERTIFICATE = { serverName: '127.0.0.1', token: undefined, hasCertificate: true }

const texts: [keyof Parts, string][] = [
  ['cluster', 'certificate-authority'],
  ['cluster', 'tls-server-name'],
  ['cluster', 'proxy-url'],
  ['user', 'token'],
  ['user', 'tokenFile'],
  ['user', 'username'],
  ['user', 'password'],
  ['user', 'as'],
  ['user', 'as-uid'],
  ['user', 'client-certificate'],
  ['user', 'client-key'],
  ['context', 'namespace'],
]
const others: [keyof Parts, string, unknown][] = [
  ['cluster', 'insecure-skip-tls-verify', null],
  ['cluster', 'disable-compression', null],
  ['cluster', 'extensions', null],
  ['user', 'exec', null],
  ['user', 'auth-provider', null],
  ['user', 'as-groups', null],
  ['user', 'as-groups', []],
  ['user', 'as-user-extra', null],
  ['user', 'as-user-extra', {}],
  ['user', 'extensions', null],
  ['top', 'preferences', null],
  ['top', 'kind', null],
]

describe('a field counts as absent', () => {
  test.for([
    ...texts.flatMap(([part, field]): typeof others => [
      [part, field, ''],
      [part, field, null],
    ]),
    ...others,
  ])('%s %s: %j', async ([part, field, value]) => {
    expect(await load({ [part]: { [field]: value } })).toEqual(WITH_CERTIFICATE)
  })

  test.for(['', null])('in favor of another source: %j', async (value) => {
    const withToken = { serverName: '127.0.0.1', token: 'abc', hasCertificate: false }
    const of = (user: Members) => load({ user, withoutCertificate: true })
    expect(await of({ token: 'abc', tokenFile: value })).toEqual(withToken)
    expect(
      await of({ token: 'abc', 'client-certificate-data': value, 'client-key-data': value }),
    ).toEqual(withToken)
    expect(await of({ token: value, tokenFile: 'token' })).toMatchObject({ token: 'from-file' })
  })
})

describe('entries that the context does not name', () => {
  test.for([null, {}, { name: 'other' }])('may be incomplete: %j', async (entry) => {
    for (const field of ['clusters', 'users', 'contexts']) {
      expect(await load({ top: { [field]: [entry] } })).toEqual(WITH_CERTIFICATE)
    }
  })

  test.for([null, {}])('may be incomplete inside: %j', async (inner) => {
    const top = {
      clusters: [{ name: 'other', cluster: inner }],
      users: [{ name: 'other', user: inner }],
      contexts: [{ name: 'other', context: inner }],
    }
    expect(await load({ top })).toEqual(WITH_CERTIFICATE)
  })
})

describe('still refused is', () => {
  test.for<[string, Parts, string]>([
    ['an empty server', { cluster: { server: '' } }, 'clusters[0].cluster.server is required'],
    [
      'a context without a user',
      { context: { user: null } },
      'contexts[0].context.user is required',
    ],
    [
      'no context',
      { top: { 'current-context': '' } },
      'current-context is required, since upstream.context is not set',
    ],
    [
      'no CA',
      { cluster: { 'certificate-authority-data': '' } },
      'clusters[0].cluster no certificate authority is set',
    ],
    [
      'no credential',
      { user: { token: '', tokenFile: null }, withoutCertificate: true },
      'users[0].user no credential is set',
    ],
    ...['as-uid', 'as-groups', 'as-user-extra'].map((field): [string, Parts, string] => [
      field,
      {
        user: { [field]: field === 'as-uid' ? 'x' : field === 'as-groups' ? ['x'] : { a: ['b'] } },
      },
      `users[0].user.${field} is not supported for Gatehouse's own credential`,
    ]),
  ])('%s', async ([, parts, problem]) => {
    expect(await load(parts)).toEqual([problem])
  })
})

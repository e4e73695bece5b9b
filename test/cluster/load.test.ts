import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { loadUpstreamCredential } from '../../src/cluster/load.ts'
import { ConfigError } from '../../src/config/problem.ts'

let folder = ''
let ca = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-credential-'))
  ca = (await createAuthority({ commonName: 'api-server', days: 1 })).certificatePem
})

afterAll(() => rm(folder, { recursive: true }))

function problemsOf(load: () => unknown): readonly string[] {
  try {
    load()
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ file, message }) => `${file.slice(folder.length + 1)} ${message}`)
  }
}

async function inCluster(token: string, authority = ca): Promise<readonly string[]> {
  await writeFile(join(folder, 'token'), token)
  await writeFile(join(folder, 'ca.crt'), authority)
  return problemsOf(() =>
    loadUpstreamCredential({ inCluster: { host: '10.0.0.1', port: '443', folder } }),
  )
}

async function kubeconfig(user: Record<string, string>): Promise<readonly string[]> {
  const file = join(folder, 'kubeconfig')
  const named = { name: 'it' }
  const cluster = {
    server: 'https://10.0.0.1',
    'certificate-authority-data': Buffer.from(ca).toString('base64'),
  }
  await writeFile(
    file,
    JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'it' },
      contexts: [{ ...named, context: { cluster: 'it', user: 'it' } }],
      clusters: [{ ...named, cluster }],
      users: [{ ...named, user }],
    }),
  )
  return problemsOf(() => loadUpstreamCredential({ kubeconfig: file, context: undefined }))
}

test('a token may end in a newline', async () => {
  await writeFile(join(folder, 'other'), 'abc.def\n')
  expect(await inCluster('abc.def\n')).toEqual([])
  expect(await kubeconfig({ token: 'abc.def' })).toEqual([])
  expect(await kubeconfig({ tokenFile: 'other' })).toEqual([])
})

describe('a credential that every request would fail with does not load', () => {
  const NO_TOKEN = 'contains whitespace or characters other than ASCII'

  test.for(['abc\ndef', 'abc def', 'abc\u0000', 'ab\u{e9}'])('the token %j', async (token) => {
    await writeFile(join(folder, 'other'), token)
    expect(await inCluster(token)).toEqual([`token ${NO_TOKEN}`])
    expect(await kubeconfig({ token })).toEqual([`kubeconfig ${NO_TOKEN}`])
    expect(await kubeconfig({ tokenFile: 'other' })).toEqual([`kubeconfig the file ${NO_TOKEN}`])
  })

  test('a ca.crt that is not a certificate', async () => {
    expect(await inCluster('abc', ca.slice(0, 200))).toEqual(['ca.crt is not valid PEM'])
  })
})

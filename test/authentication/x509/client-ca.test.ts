import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createAuthority, type Authority } from '../../../certs-dev/pki.ts'
import { loadClientTrust } from '../../../src/authentication/x509/client-ca.ts'
import { ConfigError } from '../../../src/config/problem.ts'

let folder = ''
let first: Authority
let second: Authority

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-ca-'))
  first = await createAuthority({ commonName: 'first' })
  second = await createAuthority({ commonName: 'second' })
})

afterAll(() => rm(folder, { recursive: true }))

async function load(ca: string, crl?: string) {
  const caFile = join(folder, 'ca.crt')
  const crlFile = join(folder, 'ca.crl')
  await writeFile(caFile, ca)
  if (crl !== undefined) await writeFile(crlFile, crl)
  try {
    return loadClientTrust(caFile, crl === undefined ? undefined : crlFile)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ message }) => message)
  }
}

test('a bundle of two CAs with a revocation list for each is loaded', async () => {
  const ca = first.certificatePem + second.certificatePem
  const crl = (await first.revoke([])) + (await second.revoke([]))
  expect(await load(ca, crl)).toEqual({ ca, crl })
})

test('a bundle without a certificate is refused', async () => {
  expect(await load('nothing')).toEqual(['contains no certificate'])
})

test('a bundle with a leaf certificate is refused', async () => {
  const leaf = await first.issue({ commonName: 'ada', usages: ['client'] })
  expect(await load(first.certificatePem + leaf.certificatePem)).toEqual([
    'certificate 2 of 2 is not a CA (basicConstraints)',
  ])
})

test('a bundle with a broken certificate is refused', async () => {
  const broken = first.certificatePem.replace(/\n[A-Za-z0-9+/=]{10}/, '\nAAAAAAAAAA')
  expect(await load(broken)).toEqual(['certificate 1 of 1 cannot be parsed'])
})

test('a CA without a revocation list is refused, since its users would be locked out', async () => {
  const ca = first.certificatePem + second.certificatePem
  expect(await load(ca, await first.revoke([]))).toEqual(['contains 1 revocation lists for 2 CAs'])
})

test('a broken revocation list is refused', async () => {
  const crl = (await first.revoke([])).replace(/\n[A-Za-z0-9+/=]{10}/, '\nAAAAAAAAAA')
  expect(await load(first.certificatePem, crl)).toEqual([
    expect.stringContaining('contains an invalid revocation list: '),
  ])
})

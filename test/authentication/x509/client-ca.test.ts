// The dependency injection inside @peculiar/x509 needs this import before its own.
import 'reflect-metadata'
import { createPrivateKey, webcrypto } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import * as x509 from '@peculiar/x509'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { createAuthority, type Authority } from '../../../certs-dev/pki.ts'
import { loadClientTrust } from '../../../src/authentication/x509/client-ca.ts'
import { ConfigError } from '../../../src/config/problem.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const RSA = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) }

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
    return loadClientTrust({
      clientCAFile: caFile,
      crlFile: crl === undefined ? undefined : crlFile,
    })
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
  const message = 'contains no revocation list that is signed by the client CA "CN=second"'
  expect(await load(ca, await first.revoke([]))).toEqual([message])
  expect(await load(ca, (await first.revoke([])) + (await first.revoke([])))).toEqual([message])
  const twin = await createAuthority({ commonName: 'second' })
  expect(await load(ca, (await first.revoke([])) + (await twin.revoke([])))).toEqual([message])
})

test('a broken revocation list is refused', async () => {
  const crl = (await first.revoke([])).replace(/\n[A-Za-z0-9+/=]{10}/, '\nAAAAAAAAAA')
  expect(await load(first.certificatePem, crl)).toEqual([
    expect.stringContaining('contains an invalid revocation list: '),
  ])
})

test('an intermediate CA without its root needs its own revocation list only', async () => {
  const team = await first.createIntermediate({ commonName: 'team' })
  const { certificatePem } = team
  const crl = await team.revoke([])
  expect(await load(certificatePem, crl)).toEqual({ ca: certificatePem, crl })
  expect(await load(certificatePem, await first.revoke([]))).toEqual([
    'contains no revocation list that is signed by the client CA "CN=team"',
  ])
})

test('a list with a critical extension is refused, since it may be only a part', async () => {
  const { rawData } = await x509.X509CrlGenerator.create({
    issuer: new x509.X509Certificate(first.certificatePem).subjectName,
    signingKey: await signingKeyOf(first),
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.Extension('2.5.29.28', true, new Uint8Array([0x30, 3, 0x81, 1, 0xff]))],
  })
  const partial = x509.PemConverter.encode(rawData, 'X509 CRL')
  expect(await load(first.certificatePem, `${await first.revoke([])}${partial}`)).toEqual([
    'contains a revocation list of "first" that is not supported: it has the critical extension issuingDistributionPoint (2.5.29.28)',
  ])
})

test.for([
  { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', ...RSA },
  { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-512', ...RSA },
  { name: 'RSA-PSS', hash: 'SHA-256', saltLength: 32, ...RSA },
  { name: 'Ed25519' },
])('a list that is signed with %j is accepted', async (algorithm) => {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=ca',
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  })
  const list = await x509.X509CrlGenerator.create({
    issuer: certificate.subjectName,
    signingKey: keys.privateKey,
    signingAlgorithm: algorithm,
  })
  const crl = x509.PemConverter.encode(list.rawData, 'X509 CRL')
  const ca = certificate.toString('pem')
  expect(await load(ca, crl)).toEqual({ ca, crl })
})

async function signingKeyOf({ keyPem }: Authority): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'der' })
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign'])
}

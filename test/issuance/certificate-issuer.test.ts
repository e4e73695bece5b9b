import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import type { Authentication } from '../../src/authentication/authenticator.ts'
import { DEFAULT_IDENTITY_LIMITS, guardIdentity } from '../../src/authentication/identity-guard.ts'
import { issuedIdentity } from '../../src/authentication/issued/issued.ts'
import { describeCertificate } from '../../src/authentication/x509/describe-certificate.ts'
import { loadIssuingAuthority, type IssuingAuthority } from '../../src/issuance/authority.ts'
import {
  createCertificateIssuer,
  type CertificateIssuerEffects,
} from '../../src/issuance/certificate-issuer.ts'
import { signWithFile } from '../../src/issuance/signer.ts'
import { certificateRequest } from '../support/certificate-request.ts'

const ISSUER = 'https://login.example.com'
const REQUEST = certificateRequest()
let directory: string
let authority: IssuingAuthority

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-issuer-'))
  authority = await load('issuing')
})
afterAll(() => rm(directory, { recursive: true }))

async function load(commonName: string): Promise<IssuingAuthority> {
  const { certificatePem, keyPem } = await createAuthority({ commonName })
  const [caFile, privateKeyFile] = [join(directory, 'ca.crt'), join(directory, 'ca.key')]
  await Promise.all([writeFile(caFile, certificatePem), writeFile(privateKeyFile, keyPem)])
  return loadIssuingAuthority({ caFile, privateKeyFile })
}

function issuer(effects: Partial<CertificateIssuerEffects> = {}) {
  return createCertificateIssuer(
    { maxLifetime: 3_600_000, maxSignInAge: 28_800_000 },
    {
      authority: () => authority,
      sign: signWithFile,
      isSource: (source) => source === ISSUER,
      admit: () => undefined,
      checkAuthority: async () => undefined,
      now: Date.now,
      ...effects,
    },
  )
}

function signedIn(user: Partial<Authentication['user']> = {}): Authentication {
  return {
    user: { username: 'oidc:ada', uid: '', groups: ['oidc:dev'], extra: {}, ...user },
    method: 'oidc',
    annotations: { 'authentication.gatehouse/issuer': ISSUER },
    signedInAt: Date.now() - 1_000,
  }
}

/** The user whom Gatehouse reads from a certificate. */
function readBack(pem: string): Authentication['user'] {
  const certificate = new X509Certificate(pem)
  return issuedIdentity(describeCertificate(certificate), certificate.raw).user
}

test('whatever the identity guard lets pass is read back from the certificate', async () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 })
  const user = fc.record({
    username: text,
    uid: fc.option(text, { nil: '' }),
    groups: fc.uniqueArray(text, { maxLength: 8 }),
    extra: fc.dictionary(fc.constantFrom('example.com/team', 'example.com/tier'), fc.array(text)),
  })
  await fc.assert(
    fc.asyncProperty(user, async (given) => {
      let guarded
      try {
        guarded = guardIdentity(
          { ...given, extra: { ...given.extra } },
          {
            ...DEFAULT_IDENTITY_LIMITS,
            systemIdentities: { users: [], groups: [] },
            unusableGroups: 'drop',
          },
        )
      } catch {
        return
      }
      const { pem } = await issuer().issue({ authentication: signedIn(guarded), request: REQUEST })
      const { extra, ...names } = readBack(pem)
      const { extra: expected, ...expectedNames } = guarded
      expect(names).toEqual(expectedNames)
      expect(extra).toMatchObject(expected)
    }),
    { numRuns: 50 },
  )
})

test('the credential of the sign-in is not named as that of the certificate', async () => {
  const extra = {
    'authentication.kubernetes.io/credential-id': ['JTI=1'],
    'example.com/team': ['shop'],
  }
  const { pem } = await issuer().issue({ authentication: signedIn({ extra }), request: REQUEST })
  expect(readBack(pem).extra).toEqual({
    'authentication.kubernetes.io/credential-id': [
      `X509SHA256=${new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()}`,
    ],
    'example.com/team': ['shop'],
  })
})

test.for([undefined, 'j-1', 'jti "quoted" \\ é\n'])(
  'the ID of the token is read back, which locks name: %j',
  async (tokenID) => {
    const authentication = { ...signedIn(), ...(tokenID === undefined ? {} : { tokenID }) }
    const { pem } = await issuer().issue({ authentication, request: REQUEST })
    const certificate = new X509Certificate(pem)
    const read = issuedIdentity(describeCertificate(certificate), certificate.raw)
    expect(read.tokenID).toBe(tokenID)
  },
)

test('OpenSSL and Go find a v3 certificate with a random serial number and the name of its issuer', async () => {
  const serials = new Set<string>()
  for (let i = 0; i < 20; i++) {
    const { pem, serial } = await issuer().issue({ authentication: signedIn(), request: REQUEST })
    const certificate = new X509Certificate(pem)
    expect(certificate.checkIssued(authority.certificate)).toBe(true)
    expect(certificate.issuer).toBe(authority.certificate.subject)
    serials.add(serial)
  }
  expect([...serials].every((serial) => /^[4-7][0-9A-F]{31}$/.test(serial))).toBe(true)
  expect(serials.size).toBe(20)
})

describe('no certificate is handed out', () => {
  const order = () => ({ authentication: signedIn(), request: REQUEST })

  test('with the signature of another key', async () => {
    const other = await load('other')
    const sign: CertificateIssuerEffects['sign'] = (_authority, tbs) => signWithFile(other, tbs)
    await expect(issuer({ sign }).issue(order())).rejects.toMatchObject({ code: 503 })
  })

  test.for([0, 1, 72, 4_096])('with %d bytes in place of a signature', async (bytes) => {
    const sign = async (): Promise<Uint8Array> => new Uint8Array(bytes)
    await expect(issuer({ sign }).issue(order())).rejects.toMatchObject({ code: 503 })
  })

  test('by a CA that has expired', async () => {
    const later = authority.certificate.validToDate.getTime() + 1_000
    const authentication = { ...signedIn(), signedInAt: later }
    await expect(
      issuer({ now: () => later }).issue({ authentication, request: REQUEST }),
    ).rejects.toMatchObject({ code: 503 })
  })

  test('that outlives its CA', async () => {
    const now = authority.certificate.validToDate.getTime() - 600_000
    const authentication = { ...signedIn(), signedInAt: now }
    const { notAfter } = await issuer({ now: () => now }).issue({
      authentication,
      request: REQUEST,
    })
    expect(notAfter).toBe(authority.certificate.validToDate.getTime())
  })

  test.for(['x509', 'issued-certificate', 'service-account', 'constructor'])(
    'to a user who was authenticated by %s',
    async (method) => {
      const authentication = { ...signedIn(), method }
      await expect(issuer().issue({ authentication, request: REQUEST })).rejects.toMatchObject({
        code: 403,
      })
    },
  )

  test('for a sign-in at an issuer that is not listed', async () => {
    await expect(issuer({ isSource: () => false }).issue(order())).rejects.toMatchObject({
      code: 403,
      message: expect.stringContaining('authentication.issuedCertificates.issuers') as string,
    })
  })
})

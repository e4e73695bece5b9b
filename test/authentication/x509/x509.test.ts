import { describe, expect, test } from 'vitest'

import { createX509SignIn } from '../../../src/authentication/x509/x509.ts'
import type { PeerCertificate } from '../../../src/http/exchange.ts'

const NOW = Date.UTC(2026, 0, 1)
const UID = '1.3.6.1.4.1.57683.2'

const CONNECTION = { remoteAddress: '192.0.2.1', remotePort: 1, retire: () => undefined }

function certificate(overrides: Partial<PeerCertificate> = {}): PeerCertificate {
  return {
    subject: { CN: 'ada', O: ['dev', 'ops'] },
    extKeyUsage: ['1.3.6.1.5.5.7.3.2'],
    isCA: false,
    sha256: 'abcd',
    serialNumber: '0A1B',
    issuedHere: undefined,
    isSelfSigned: false,
    notBefore: NOW - 1_000,
    notAfter: NOW + 1_000,
    verifyError: undefined,
    verdictEndsAt: NOW + 1_000,
    generation: 1,
    ...overrides,
  }
}

function authenticate(peerCertificate: PeerCertificate) {
  const signIn = createX509SignIn(
    { frontProxy: undefined },
    { generation: () => 1, chainOf: () => [], now: () => NOW },
  )
  const result = signIn.authenticate({
    ...{ kind: 'certificate', certificate: peerCertificate },
    connection: { ...CONNECTION, peerCertificate },
    rawHeaders: [],
  })
  if (result === undefined || result instanceof Promise) return expect.fail('not judged at once')
  return result
}

test('CN is the user, every O is a group, and the digest identifies the credential', () => {
  expect(authenticate(certificate())).toEqual({
    user: {
      username: 'ada',
      uid: '',
      groups: ['dev', 'ops'],
      extra: { 'authentication.kubernetes.io/credential-id': ['X509SHA256=abcd'] },
    },
    method: 'x509',
    annotations: {
      'authentication.gatehouse/certificate-sha256': 'abcd',
      'authentication.gatehouse/certificate-serial': '0A1B',
    },
    expiresAt: expect.any(Number) as number,
  })
})

test('the UID attribute is the uid', () => {
  const subject = { CN: 'ada', [UID]: '7f1e' }
  expect(authenticate(certificate({ subject })).user.uid).toBe('7f1e')
})

test('a duplicate group counts once', () => {
  const subject = { CN: 'ada', O: ['dev', 'dev'] }
  expect(authenticate(certificate({ subject })).user.groups).toEqual(['dev'])
})

test('a certificate without extended key usage, or with anyExtendedKeyUsage, is accepted', () => {
  expect(authenticate(certificate({ extKeyUsage: undefined })).user.username).toBe('ada')
  const any = certificate({ extKeyUsage: ['2.5.29.37.0'] })
  expect(authenticate(any).user.username).toBe('ada')
})

describe('the x509 authenticator', () => {
  const cases: { name: string; overrides: Partial<PeerCertificate>; cause: string }[] = [
    {
      name: 'a chain that did not verify',
      overrides: { verifyError: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
      cause: 'it was not issued by a client CA (UNABLE_TO_VERIFY_LEAF_SIGNATURE)',
    },
    {
      name: 'an expired certificate, with its date',
      overrides: { verifyError: 'CERT_HAS_EXPIRED', notAfter: NOW - 1_000 },
      cause: 'the certificate expired on 2025-12-31T23:59:59Z (CERT_HAS_EXPIRED)',
    },
    {
      name: 'a certificate whose CA has expired',
      overrides: { verifyError: 'CERT_HAS_EXPIRED' },
      cause: 'a CA above the certificate has expired (CERT_HAS_EXPIRED)',
    },
    {
      name: 'an OpenSSL code without a description',
      overrides: { verifyError: 'constructor' },
      cause: 'client certificate: constructor',
    },
    {
      name: 'a validity period that cannot be parsed',
      overrides: { notAfter: Number.NaN },
      cause: 'its validity period cannot be parsed',
    },
    {
      name: 'a certificate that an earlier CA bundle verified',
      overrides: { generation: 0 },
      cause: 'no longer in effect',
    },
    {
      name: 'a certificate that has expired since the handshake',
      overrides: { notAfter: NOW - 1 },
      cause: 'the certificate expired on 2025-12-31T23:59:59.999Z',
    },
    {
      name: 'a certificate that is not valid yet',
      overrides: { notBefore: NOW + 1 },
      cause: 'the certificate is not valid before 2026-01-01T00:00:00.001Z',
    },
    {
      name: 'a certificate whose CA or revocation list has expired since the handshake',
      overrides: { verdictEndsAt: NOW - 1 },
      cause: 'a CA above it, or a revocation list, has expired since the connection was opened',
    },
    {
      name: 'a verdict whose end is not known',
      overrides: { verdictEndsAt: Number.NaN },
      cause: 'has expired since',
    },
    {
      name: 'the certificate of a CA',
      overrides: { isCA: true, extKeyUsage: undefined },
      cause: 'it is the certificate of a CA, not of a user',
    },
    {
      name: 'a server certificate',
      overrides: { extKeyUsage: ['1.3.6.1.5.5.7.3.1'] },
      cause: 'clientAuth is missing',
    },
    {
      name: 'a subject without a common name',
      overrides: { subject: { O: 'dev' } },
      cause: 'one common name',
    },
    { name: 'an empty common name', overrides: { subject: { CN: '' } }, cause: 'one common name' },
    {
      name: 'two common names',
      overrides: { subject: { CN: ['ada', 'root'] } },
      cause: 'exactly one common name',
    },
    {
      name: 'two UIDs',
      overrides: { subject: { CN: 'ada', [UID]: ['a', 'b'] } },
      cause: 'more than one UID',
    },
    {
      name: 'an empty UID',
      overrides: { subject: { CN: 'ada', [UID]: '' } },
      cause: 'an empty one',
    },
  ]

  test.for(cases)('refuses $name with 401', ({ overrides, cause }) => {
    expect(() => authenticate(certificate(overrides))).toThrow(
      expect.objectContaining({
        code: 401,
        message: 'Unauthorized',
        cause: expect.objectContaining({
          message: expect.stringContaining(cause) as string,
        }) as Error,
      }),
    )
  })
})

test('a token is left to other methods', () => {
  const signIn = createX509SignIn(
    { frontProxy: undefined },
    { generation: () => 1, chainOf: () => [], now: () => NOW },
  )
  expect(signIn.authenticate({ kind: 'token', token: 't' })).toBeUndefined()
})

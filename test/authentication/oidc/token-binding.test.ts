import { createHash } from 'node:crypto'

import { expect, test } from 'vitest'

import { boundCertificate } from '../../../src/authentication/oidc/token-binding.ts'

const digest = createHash('sha256').update('a certificate').digest()
const thumbprint = digest.toString('base64url')

test('the thumbprint of RFC 8705 is the certificate that the token is bound to', () => {
  expect(boundCertificate({ cnf: { 'x5t#S256': thumbprint } })).toBe(digest.toString('hex'))
})

test.for([{}, { cnf: null }])('%j is not bound', (claims) => {
  expect(boundCertificate(claims)).toBeUndefined()
})

test.for<[what: string, cnf: unknown]>([
  ['a DPoP key', { jkt: 'x' }],
  ['a DPoP key beside the certificate', { 'x5t#S256': thumbprint, jkt: 'x' }],
  ['a key', { jwk: { kty: 'EC' } }],
  ['a key identifier', { kid: 'x' }],
  ['a certificate and a member that is not known', { 'x5t#S256': thumbprint, extra: 1 }],
  ['nothing', {}],
  ['a text', thumbprint],
  ['a list', [{ 'x5t#S256': thumbprint }]],
  ['a number', 1],
  ['false', false],
  ['a thumbprint with padding', { 'x5t#S256': `${thumbprint}=` }],
  ['a thumbprint in hex', { 'x5t#S256': digest.toString('hex') }],
  ['a thumbprint with a blank', { 'x5t#S256': ` ${thumbprint}` }],
  ['a thumbprint that is too short', { 'x5t#S256': thumbprint.slice(2) }],
  ['a SHA-1 thumbprint', { 'x5t#S256': digest.subarray(0, 20).toString('base64url') }],
  ['a thumbprint with standard base64', { 'x5t#S256': Buffer.alloc(32, 0xff).toString('base64') }],
  ['a list of thumbprints', { 'x5t#S256': [thumbprint] }],
  ['null', { 'x5t#S256': null }],
])('a token whose cnf is %s is refused', ([, cnf]) => {
  expect(() => boundCertificate({ cnf })).toThrow(expect.objectContaining({ code: 401 }))
})

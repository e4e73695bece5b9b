import { generateKeyPairSync } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { publicKeyOfRequest } from '../../src/issuance/certificate-request.ts'
import { StatusError } from '../../src/status.ts'
import {
  certificateRequest,
  newKeys,
  requestDer,
  requestPem,
  type Keys,
} from '../support/certificate-request.ts'

const rsa = (modulusLength: number, publicExponent = 65_537): Keys =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent })

const SHA256_RSA = { algorithm: '1.2.840.113549.1.1.11' }
const SHA384_ECDSA = { hash: 'sha384', algorithm: '1.2.840.10045.4.3.3' }
const ED25519 = { hash: null, algorithm: '1.3.101.112' }

test.for([
  ['P-256', () => ({ keys: newKeys() })],
  ['P-384', () => ({ keys: newKeys('P-384'), ...SHA384_ECDSA })],
  ['Ed25519', () => ({ keys: generateKeyPairSync('ed25519'), ...ED25519 })],
  ['RSA with 2048 bits', () => ({ keys: rsa(2_048), ...SHA256_RSA })],
] as const)('a request with a key of %s gives this key', ([, options]) => {
  const given = options()
  const key = publicKeyOfRequest(certificateRequest(given))
  expect(key.equals(given.keys.publicKey)).toBe(true)
})

describe('is refused:', () => {
  test.for([
    ['P-521', () => ({ keys: newKeys('P-521') })],
    ['secp256k1', () => ({ keys: newKeys('secp256k1') })],
    ['RSA with 1024 bits', () => ({ keys: rsa(1_024), ...SHA256_RSA })],
    ['RSA with the exponent 3', () => ({ keys: rsa(2_048, 3), ...SHA256_RSA })],
    ['Ed448', () => ({ keys: generateKeyPairSync('ed448'), ...ED25519, algorithm: '1.3.101.113' })],
  ] as const)('a key of %s', ([, options]) => {
    expect(() => publicKeyOfRequest(certificateRequest(options()))).toThrow(
      'key that is not allowed',
    )
  })

  test.for([
    ['the signature of another key', { signedBy: newKeys() }],
    ['a signature by SHA-1', { hash: 'sha1', algorithm: '1.2.840.10045.4.1' }],
    ['a signature of another algorithm than it names', { hash: 'sha384' }],
  ] as const)('%s', ([, options]) => {
    expect(() => publicKeyOfRequest(certificateRequest(options))).toThrow(
      'not signed with its own key',
    )
  })

  test('a changed subject, since the signature covers it', () => {
    const der = Buffer.from(requestDer({ commonName: 'ada' }))
    der[der.indexOf('ada')] = 0x62
    expect(() => publicKeyOfRequest(requestPem(der))).toThrow('not signed with its own key')
  })

  const der = requestDer()
  test.for<[what: string, pem: string]>([
    ['nothing', ''],
    ['text', 'request'],
    ['a certificate', requestPem(der, 'CERTIFICATE')],
    ['two requests', certificateRequest() + certificateRequest()],
    ['an endless one', certificateRequest() + ' '.repeat(8_192)],
    ['one that was cut off', requestPem(der.subarray(0, -9))],
    ['one with bytes behind it', requestPem(Buffer.concat([der, Buffer.from([5, 0])]))],
    ['an empty sequence', requestPem(Uint8Array.from([0x30, 0]))],
    ['an indefinite length', requestPem(Uint8Array.from([0x30, 0x80, 0, 0]))],
    ['a length of 4 GiB', requestPem(Uint8Array.from([0x30, 0x84, 0xff, 0xff, 0xff, 0xff]))],
    ['no DER', requestPem(Buffer.from('{"csr":1}'))],
  ])('%s', ([, pem]) => {
    expect(() => publicKeyOfRequest(pem)).toThrow(expect.objectContaining({ code: 400 }))
  })

  test('every request of which one byte was changed, or it gives the same key', () => {
    const original = publicKeyOfRequest(requestPem(der))
    const outcomes = Array.from(der, (byte, i) => {
      const changed = Uint8Array.from(der)
      changed[i] = byte ^ 0x01
      try {
        return publicKeyOfRequest(requestPem(changed)).equals(original) ? 'same key' : 'another key'
      } catch (error) {
        return error instanceof StatusError ? error.code : 'another error'
      }
    })
    // Only tags behind what the signature covers may change.
    expect(outcomes.slice(0, -90).every((outcome) => outcome === 400)).toBe(true)
    expect(new Set(outcomes.slice(-90))).toEqual(new Set([400, 'same key']))
  })
})

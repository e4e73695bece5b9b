import type { JWK } from 'jose'
import { beforeAll, describe, expect, test } from 'vitest'

import type { SignatureAlgorithm } from '../../../src/authentication/oidc/compact-jws.ts'
import { keysFor, parseKeySet } from '../../../src/authentication/oidc/key-set.ts'
import { createSigningKey } from './issuer.ts'

let rsa: JWK
let ec: JWK
let p384: JWK

beforeAll(async () => {
  rsa = (await createSigningKey('rsa', 'RS256')).publicJwk
  ec = (await createSigningKey('ec', 'ES256')).publicJwk
  p384 = (await createSigningKey('p384', 'ES384')).publicJwk
})

const without = (jwk: JWK, ...names: string[]) =>
  Object.fromEntries(Object.entries(jwk).filter(([name]) => !names.includes(name)))

/** An odd number of that many bytes, in base64url. */
const modulus = (bytes: number) => Buffer.alloc(bytes, 0xff).toString('base64url')

describe('a key is used', () => {
  test('for the algorithm that it names, and for no other', () => {
    expect(parseKeySet({ keys: [rsa, ec] }).map(({ algorithms }) => algorithms)).toEqual([
      ['RS256'],
      ['ES256'],
    ])
  })

  test('for all algorithms of its kty if it does not name one: six for RSA, one for a curve', () => {
    const keys = [rsa, ec, p384].map((jwk) => without(jwk, 'alg', 'use'))
    expect(parseKeySet({ keys }).map(({ algorithms }) => algorithms)).toEqual([
      ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
      ['ES256'],
      ['ES384'],
    ])
  })

  test('with its public part only', () => {
    const [key] = parseKeySet({ keys: [{ ...ec, d: 'AAAA' }] })
    expect(key?.key.type).toBe('public')
  })
})

describe('a key is left out that', () => {
  test.for<[string, () => unknown]>([
    ['is symmetric', () => ({ kty: 'oct', k: 'c2VjcmV0', kid: 'a', alg: 'HS256' })],
    ['is for encryption', () => ({ ...rsa, use: 'enc' })],
    ['is not for verification', () => ({ ...rsa, key_ops: ['sign'] })],
    ['names an algorithm of another kty', () => ({ ...rsa, alg: 'ES256' })],
    ['names an HMAC algorithm', () => ({ ...rsa, alg: 'HS256' })],
    ['names an encryption algorithm', () => ({ ...rsa, alg: 'RSA-OAEP' })],
    ['is on another curve than its algorithm', () => ({ ...ec, alg: 'ES384' })],
    ['is on an unsupported curve', () => ({ ...ec, crv: 'secp256k1' })],
    ['has an unknown kty', () => ({ kty: 'OKP', crv: 'Ed25519', x: 'AAAA' })],
    ['is not on its curve', () => ({ ...ec, y: ec.x })],
    ['lacks a part', () => without(ec, 'y')],
    ['has 1024 bits', () => ({ ...rsa, n: modulus(128) })],
    ['has more than 8192 bits', () => ({ ...rsa, n: modulus(1_025) })],
    ['has a million bits', () => ({ ...rsa, n: modulus(125_000) })],
    ['has the exponent 1, with which anything is a valid signature', () => ({ ...rsa, e: 'AQ' })],
    ['has the exponent 0', () => ({ ...rsa, e: 'AA' })],
    ['has an even exponent', () => ({ ...rsa, e: 'AQAA' })],
    ['has an exponent of 33 bits', () => ({ ...rsa, e: 'AQAAAAE' })],
    ['has an exponent as long as its modulus', () => ({ ...rsa, e: rsa.n })],
    ['has an empty modulus', () => ({ ...rsa, n: '' })],
    ['has an empty point', () => ({ ...ec, x: '', y: '' })],
    [
      'is on P-384 by its crv and on P-256 by its point',
      () => ({ ...ec, crv: 'P-384', alg: 'ES384' }),
    ],
    ['has a kid that is not a string', () => ({ ...ec, kid: 7 })],
    ['is null', () => null],
    ['is a string', () => 'key'],
  ])('%s', ([, make]) => {
    expect(parseKeySet({ keys: [make(), p384] }).map(({ kid }) => kid)).toEqual(['p384'])
  })
})

test.for([
  { use: null },
  { use: '' },
  { key_ops: null },
  { key_ops: [] },
  { alg: null },
  { alg: '' },
  { x5c: [], x5t: null, x5u: '' },
  { ext: null, d: null, p: null },
])('a key with the unused members %j is kept', (members) => {
  const unused = Object.keys(members).map((name): [string, undefined] => [name, undefined])
  const reference = { ...ec, ...Object.fromEntries(unused) }
  const [kept] = parseKeySet({ keys: [{ ...ec, ...members }] })
  expect(kept).toEqual(parseKeySet({ keys: [reference] })[0])
  expect(kept).toBeDefined()
})

test.for([null, ''])('a kid of %j is none', (kid) => {
  expect(parseKeySet({ keys: [{ ...ec, kid }] }).map((key) => key.kid)).toEqual([undefined])
})

test('keys of 8192 bits and with the exponents 3 and 65537 are kept', () => {
  const keys = [{ ...rsa, n: modulus(1_024), kid: 'long' }, { ...rsa, e: 'Aw', kid: 'three' }, rsa]
  expect(parseKeySet({ keys }).map(({ kid }) => kid)).toEqual(['long', 'three', 'rsa'])
})

test('skipped keys are reported with kid and reason, except those for encryption', () => {
  const reported: unknown[] = []
  const keys = [
    rsa,
    { ...rsa, kid: 'weak', n: modulus(128) },
    { ...rsa, kid: 'one', e: 'AQ' },
    { ...rsa, kid: 'enc', use: 'enc', alg: 'RSA-OAEP' },
    { ...ec, kid: 'off', y: ec.x },
    { kty: 'oct', kid: 'k'.repeat(1_000), k: 'c2VjcmV0' },
    { ...ec, kid: 'alg', alg: 'ES512' },
    null,
  ]
  expect(parseKeySet({ keys }, (skipped) => reported.push(skipped))).toHaveLength(1)
  expect(reported).toEqual([
    { kid: 'weak', reason: 'its modulus has 1024 bits; 2048 to 8192 are supported' },
    { kid: 'one', reason: expect.stringContaining('its public exponent must be odd') as string },
    { kid: 'off', reason: 'its parameters do not form a valid key' },
    {
      kid: 'k'.repeat(64),
      reason: expect.stringContaining('not a supported RSA or EC key') as string,
    },
    { kid: 'alg', reason: expect.stringContaining('its alg is unsupported') as string },
    { kid: undefined, reason: expect.stringContaining('not a supported RSA or EC key') as string },
  ])
})

test('different keys with the same kid are all kept, and a duplicate is dropped', () => {
  const twins = [ec, { ...p384, kid: 'ec' }, ec]
  expect(parseKeySet({ keys: twins }).map(({ kid, algorithms }) => [kid, ...algorithms])).toEqual([
    ['ec', 'ES256'],
    ['ec', 'ES384'],
  ])
})

describe('parseKeySet refuses', () => {
  test.for([undefined, null, [], {}, { keys: {} }, { keys: 'x' }])('%j', (value) => {
    expect(() => parseKeySet(value)).toThrow('not a JWK Set')
  })

  test('a set of more than 100 keys', () => {
    const keys = Array.from({ length: 100 }, (_, i) => ({ ...ec, kid: String(i) }))
    expect(parseKeySet({ keys })).toHaveLength(100)
    expect(() => parseKeySet({ keys: [...keys, ec] })).toThrow(/more than 100/)
  })
})

describe('the candidate keys of a token', () => {
  const kids = (kid: string | undefined, algorithm: SignatureAlgorithm) => {
    const keys = parseKeySet({ keys: [rsa, ec, p384, { ...ec, kid: 'ec2' }, without(ec, 'kid')] })
    return keysFor(keys, { kid, algorithm }).map((key) => key.kid)
  }

  test.for<[string | undefined, SignatureAlgorithm, (string | undefined)[]]>([
    ['ec', 'ES256', ['ec']],
    ['ec', 'ES384', []],
    ['rsa', 'PS256', []],
    ['none', 'ES256', []],
    [undefined, 'ES256', ['ec', 'ec2', undefined]],
  ])('with kid %s and algorithm %s are %j', ([kid, algorithm, expected]) => {
    expect(kids(kid, algorithm)).toEqual(expected)
  })
})

test('fingerprints are stable, and differ by key, kid and algorithms', () => {
  const fingerprintOf = (jwk: object) => parseKeySet({ keys: [jwk] })[0]?.fingerprint
  const changed = [ec, { ...ec, kid: 'x' }, without(ec, 'kid'), rsa, { ...rsa, alg: 'PS256' }]
  expect(new Set(changed.map(fingerprintOf)).size).toBe(changed.length)
  expect(fingerprintOf({ ...ec })).toBe(fingerprintOf(ec))
})

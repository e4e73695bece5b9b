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

/** An odd number of so many bytes; nobody has factors of it. */
const modulus = (bytes: number) => Buffer.alloc(bytes, 0xff).toString('base64url')

describe('a key serves', () => {
  test('the algorithm that it names, and no other', () => {
    expect(parseKeySet({ keys: [rsa, ec] }).map(({ algorithms }) => algorithms)).toEqual([
      ['RS256'],
      ['ES256'],
    ])
  })

  test('all of its kind where it names none: RSA six, a curve its own', () => {
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

describe('left out is a key that', () => {
  test.for<[string, () => unknown]>([
    ['is symmetric', () => ({ kty: 'oct', k: 'c2VjcmV0', kid: 'a', alg: 'HS256' })],
    ['is for encryption', () => ({ ...rsa, use: 'enc' })],
    ['is not for verification', () => ({ ...rsa, key_ops: ['sign'] })],
    ['is for another algorithm than its kind allows', () => ({ ...rsa, alg: 'ES256' })],
    ['is for HMAC by its own word', () => ({ ...rsa, alg: 'HS256' })],
    ['is for encryption by its algorithm', () => ({ ...rsa, alg: 'RSA-OAEP' })],
    ['is on a curve that its algorithm is not for', () => ({ ...ec, alg: 'ES384' })],
    ['is on another curve', () => ({ ...ec, crv: 'secp256k1' })],
    ['is of an unknown kind', () => ({ kty: 'OKP', crv: 'Ed25519', x: 'AAAA' })],
    ['is not on its curve', () => ({ ...ec, y: ec.x })],
    ['lacks a part', () => without(ec, 'y')],
    ['has 1024 bits', () => ({ ...rsa, n: modulus(128) })],
    ['has a bit more than 8192', () => ({ ...rsa, n: modulus(1_025) })],
    ['has a million bits', () => ({ ...rsa, n: modulus(125_000) })],
    ['has the exponent 1, under which everything is a signature', () => ({ ...rsa, e: 'AQ' })],
    ['has the exponent 0', () => ({ ...rsa, e: 'AA' })],
    ['has an even exponent', () => ({ ...rsa, e: 'AQAA' })],
    ['has an exponent of 33 bits', () => ({ ...rsa, e: 'AQAAAAE' })],
    ['has an exponent as long as its modulus', () => ({ ...rsa, e: rsa.n })],
    ['has no modulus', () => ({ ...rsa, n: '' })],
    ['has a point at infinity', () => ({ ...ec, x: '', y: '' })],
    [
      'is on P-384 by its crv and on P-256 by its point',
      () => ({ ...ec, crv: 'P-384', alg: 'ES384' }),
    ],
    ['has a kid that is no string', () => ({ ...ec, kid: 7 })],
    ['is null', () => null],
    ['is a string', () => 'key'],
  ])('%s', ([, make]) => {
    expect(parseKeySet({ keys: [make(), p384] }).map(({ kid }) => kid)).toEqual(['p384'])
  })
})

test('bounds are what they say: 8192 bits and the exponents 3 and 65537 are good', () => {
  const keys = [{ ...rsa, n: modulus(1_024), kid: 'long' }, { ...rsa, e: 'Aw', kid: 'three' }, rsa]
  expect(parseKeySet({ keys }).map(({ kid }) => kid)).toEqual(['long', 'three', 'rsa'])
})

test('what is left out is told, by name and reason; what is for encryption is not', () => {
  const told: unknown[] = []
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
  expect(parseKeySet({ keys }, (skipped) => told.push(skipped))).toHaveLength(1)
  expect(told).toEqual([
    { kid: 'weak', why: 'it has 1024 bits, not 2048 to 8192' },
    { kid: 'one', why: expect.stringContaining('exponent') as string },
    { kid: 'off', why: 'its numbers are no key' },
    { kid: 'k'.repeat(64), why: expect.stringContaining('no RSA or EC key') as string },
    { kid: 'alg', why: expect.stringContaining('its alg is none') as string },
    { kid: undefined, why: expect.stringContaining('no RSA or EC key') as string },
  ])
})

test('two keys of one name are both kept; one key twice is kept once', () => {
  const twins = [ec, { ...p384, kid: 'ec' }, ec]
  expect(parseKeySet({ keys: twins }).map(({ kid, algorithms }) => [kid, ...algorithms])).toEqual([
    ['ec', 'ES256'],
    ['ec', 'ES384'],
  ])
})

describe('no key set is', () => {
  test.for([undefined, null, [], {}, { keys: {} }, { keys: 'x' }])('%j', (value) => {
    expect(() => parseKeySet(value)).toThrow('not a JWK Set')
  })

  test('one of more than 100 keys', () => {
    const keys = Array.from({ length: 100 }, (_, i) => ({ ...ec, kid: String(i) }))
    expect(parseKeySet({ keys })).toHaveLength(100)
    expect(() => parseKeySet({ keys: [...keys, ec] })).toThrow(/more than 100/)
  })
})

describe('a token finds', () => {
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
  ])('by kid %s and %s the keys %j', ([kid, algorithm, expected]) => {
    expect(kids(kid, algorithm)).toEqual(expected)
  })
})

test('fingerprints differ by key, name and use, and are stable', () => {
  const fingerprintOf = (jwk: object) => parseKeySet({ keys: [jwk] })[0]?.fingerprint
  const changed = [ec, { ...ec, kid: 'x' }, without(ec, 'kid'), rsa, { ...rsa, alg: 'PS256' }]
  expect(new Set(changed.map(fingerprintOf)).size).toBe(changed.length)
  expect(fingerprintOf({ ...ec })).toBe(fingerprintOf(ec))
})

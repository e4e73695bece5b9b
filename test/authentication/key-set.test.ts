import type { JWK } from 'jose'
import { beforeAll, describe, expect, test } from 'vitest'

import type { SignatureAlgorithm } from '../../src/authentication/compact-jws.ts'
import { keysFor, parseKeySet } from '../../src/authentication/key-set.ts'
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
    ['has 1024 bits', () => ({ ...rsa, n: Buffer.alloc(128, 0xff).toString('base64url') })],
    ['has a kid that is no string', () => ({ ...ec, kid: 7 })],
    ['is null', () => null],
    ['is a string', () => 'key'],
  ])('%s', ([, make]) => {
    expect(parseKeySet({ keys: [make(), p384] }).map(({ kid }) => kid)).toEqual(['p384'])
  })
})

describe('no key set is', () => {
  test.for([undefined, null, [], {}, { keys: {} }, { keys: 'x' }])('%j', (value) => {
    expect(() => parseKeySet(value)).toThrow('not a JWK Set')
  })

  test('one of more than 64 keys', () => {
    expect(parseKeySet({ keys: Array<unknown>(64).fill(ec) })).toHaveLength(64)
    expect(() => parseKeySet({ keys: Array<unknown>(65).fill(ec) })).toThrow(/more than 64/)
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

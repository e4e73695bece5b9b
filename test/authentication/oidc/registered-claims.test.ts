import { expect, test } from 'vitest'

import { checkRegisteredClaims } from '../../../src/authentication/oidc/registered-claims.ts'
import { refusalOf } from './issuer.ts'

const expected = { issuer: 'https://a.example', audiences: ['a', 'b'], now: 1_000_000 }
const good = { iss: 'https://a.example', aud: 'b', exp: 1_001 }

test('good claims tell when the token expires, in milliseconds', () => {
  expect(checkRegisteredClaims(good, expected)).toBe(1_001_000)
})

test.for([
  'https://b.example',
  'https://a.example/',
  'HTTPS://a.example',
  undefined,
  null,
  ['https://a.example'],
])('issuer %j is refused, whoever signed it', async (iss) => {
  expect(await refusalOf(() => checkRegisteredClaims({ ...good, iss }, expected))).toMatch(
    /not the one whose keys verified/,
  )
})

test('claims that every object inherits are none', async () => {
  const inherited = Object.create(good) as Record<string, unknown>
  expect(await refusalOf(() => checkRegisteredClaims(inherited, expected))).toMatch(/issuer/)
})

test.for<[string, unknown, RegExp]>([
  ['far beyond any date', 1e300, /exp is no time/],
  ['infinite', Number.POSITIVE_INFINITY, /exp is no time/],
  ['just beyond the last date', 8_640_000_000_001, /exp is no time/],
  ['far before any date', -1e300, /exp is no time/],
  ['negative', -1, /has expired \(exp\): 1969-12-31T23:59:59\.000Z/],
  ['zero', 0, /has expired/],
  ['negative zero', -0, /has expired/],
  ['true', true, /no number/],
  ['a list', [1_001], /no number/],
  ['the last date', 8_640_000_000_000, /^not refused$/],
])('exp %s', async ([, exp, expectation]) => {
  expect(await refusalOf(() => checkRegisteredClaims({ ...good, exp }, expected))).toMatch(
    expectation,
  )
})

test.for<[unknown, RegExp]>([
  [-1e9, /^not refused$/],
  [1e300, /nbf is no time/],
  [null, /no number/],
  [9e9, /not valid yet \(nbf\): 2255-/],
])('nbf %j', async ([nbf, expectation]) => {
  expect(await refusalOf(() => checkRegisteredClaims({ ...good, nbf }, expected))).toMatch(
    expectation,
  )
})

import { expect, test } from 'vitest'

import { checkRegisteredClaims } from '../../../src/authentication/oidc/registered-claims.ts'
import { refusalOf } from './issuer.ts'

const expected = { issuer: 'https://a.example', audiences: ['a', 'b'], now: 1_000_000 }
const good = { iss: 'https://a.example', aud: 'b', exp: 1_001 }

test('valid claims give the expiry in milliseconds', () => {
  expect(checkRegisteredClaims(good, expected)).toBe(1_001_000)
})

test.for([
  'https://b.example',
  'https://a.example/',
  'HTTPS://a.example',
  undefined,
  null,
  ['https://a.example'],
])('the issuer %j is refused', async (iss) => {
  expect(await refusalOf(() => checkRegisteredClaims({ ...good, iss }, expected))).toMatch(
    /not the one whose keys verified/,
  )
})

test.for([undefined, null])(
  'a token whose aud is %j is refused as one without an audience',
  async (aud) => {
    expect(await refusalOf(() => checkRegisteredClaims({ ...good, aud }, expected))).toBe(
      'the token has no audience (aud): it is not an ID token',
    )
  },
)

test('inherited properties do not count as claims', async () => {
  const inherited = Object.create(good) as Record<string, unknown>
  expect(await refusalOf(() => checkRegisteredClaims(inherited, expected))).toMatch(/issuer/)
})

test.for<[string, unknown, RegExp]>([
  ['far after the last date', 1e300, /exp is out of range/],
  ['infinite', Number.POSITIVE_INFINITY, /exp is out of range/],
  ['just after the last date', 8_640_000_000_001, /exp is out of range/],
  ['far before the first date', -1e300, /exp is out of range/],
  ['negative', -1, /has expired \(exp\): 1969-12-31T23:59:59\.000Z/],
  ['zero', 0, /has expired/],
  ['negative zero', -0, /has expired/],
  ['true', true, /not a number/],
  ['a list', [1_001], /not a number/],
  ['the last date', 8_640_000_000_000, /^not refused$/],
])('an exp that is %s (%s) gives %s', async ([, exp, expectation]) => {
  expect(await refusalOf(() => checkRegisteredClaims({ ...good, exp }, expected))).toMatch(
    expectation,
  )
})

test.for<[unknown, RegExp]>([
  [-1e9, /^not refused$/],
  [1e300, /nbf is out of range/],
  [null, /not a number/],
  [9e9, /not valid yet \(nbf\): 2255-/],
])('an nbf of %j gives %s', async ([nbf, expectation]) => {
  expect(await refusalOf(() => checkRegisteredClaims({ ...good, nbf }, expected))).toMatch(
    expectation,
  )
})

test.for<[unknown, RegExp]>([
  [1_060, /^not refused$/],
  [1_060.5, /issued in the future \(iat\): 1970-01-01T00:17:40\.500Z/],
  [0, /^not refused$/],
  [undefined, /^not refused$/],
  [1e300, /iat is out of range/],
  ['1000', /iat is not a number/],
])('an iat of %j gives %s', async ([iat, expectation]) => {
  expect(await refusalOf(() => checkRegisteredClaims({ ...good, iat }, expected))).toMatch(
    expectation,
  )
})

test.for<[unknown, RegExp]>([
  ['a', /^not refused$/],
  ['b', /^not refused$/],
  [undefined, /^not refused$/],
  [null, /^not refused$/],
  ['c', /issued to another client \(azp\), which is not listed in audiences: "c"/],
  ['A', /another client/],
  ['', /another client/],
  [['a'], /another client .*: a list/],
])('an azp of %j gives %s', async ([azp, expectation]) => {
  expect(await refusalOf(() => checkRegisteredClaims({ ...good, azp }, expected))).toMatch(
    expectation,
  )
})

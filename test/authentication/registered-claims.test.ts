import { expect, test } from 'vitest'

import { checkRegisteredClaims } from '../../src/authentication/registered-claims.ts'
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

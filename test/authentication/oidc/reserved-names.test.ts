import { expect, test } from 'vitest'

import { createReservedNames } from '../../../src/authentication/oidc/reserved-names.ts'
import { issuerConfiguration, type TestIssuer } from './issuer.ts'

const issuer = (url: string, username: string, groups?: string, sharesNames = false) =>
  issuerConfiguration({ url } as TestIssuer, {
    claimMappings: {
      username: { claim: 'sub', prefix: username },
      groups: groups === undefined ? undefined : { claim: 'g', prefix: groups, isRequired: false },
      uid: undefined,
      extra: [],
    },
    sharesNames,
  })

const reserves = createReservedNames([
  issuer('https://a.example', 'a:', 'team:'),
  issuer('https://b.example', 'b:'),
  issuer('https://c.example', 'c:', 'c:', true),
])
const problem = (username: string, groups: readonly string[] = []) =>
  reserves({ username, uid: '', groups, extra: {} })

test('names that begin with the prefix of an issuer are reserved, each in its name space', () => {
  expect(problem('a:ada')).toBe(
    'user name "a:ada" begins with the prefix of the issuer "https://a.example", so only its tokens may name it',
  )
  expect(problem('a:')).toMatch(/^user name "a:" begins/)
  expect(problem('ada', ['dev', 'team:dev'])).toMatch(/^group "team:dev" begins .*a\.example/)
  expect(problem('b:bob')).toMatch(/b\.example/)
  expect(problem('bob', ['b:dev'])).toMatch(/^group "b:dev"/)
})

test('other names are not', () => {
  expect(
    problem('ada', ['dev', 'a', 'xa:', 'A:x', 'a:dev', 'system:authenticated']),
  ).toBeUndefined()
  expect(problem('team:ada')).toBeUndefined()
  expect(problem('c:carol', ['c:dev'])).toBeUndefined()
})

test('names of Kubernetes are of no issuer, also where one has no prefix', () => {
  const unprefixed = createReservedNames([issuer('https://d.example', '', '')])
  const user = (username: string, groups: string[]) => ({ username, uid: '', groups, extra: {} })
  expect(unprefixed(user('system:serviceaccount:a:b', ['system:serviceaccounts']))).toBeUndefined()
  expect(unprefixed(user('ada', []))).toMatch(/^user name "ada"/)
})

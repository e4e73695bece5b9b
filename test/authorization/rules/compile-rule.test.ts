import { expect, test } from 'vitest'

import { compileRule } from '../../../src/authorization/rules/compile-rule.ts'
import type { AccessRule } from '../../../src/authorization/rules/schema.ts'
import { infoOf, user } from '../fixtures.ts'

const common: AccessRule = {
  name: 'r',
  effect: 'allow',
  mode: 'enforce',
  verbs: ['get'],
  subjects: { users: ['ada'] },
}
const rule: AccessRule = {
  ...common,
  resources: [{ apiGroups: [''], resources: ['pods'] }],
  nonResourceURLs: ['/version'],
}

test.for([
  { what: 'every condition', request: 'GET /api/v1/namespaces/a/pods/p', matches: true },
  { what: 'every condition', request: 'GET /version', matches: true },
  { what: 'all but the verb', request: 'DELETE /api/v1/namespaces/a/pods/p', matches: false },
  { what: 'all but the resource', request: 'GET /api/v1/namespaces/a/secrets/s', matches: false },
  { what: 'all but the path', request: 'GET /healthz', matches: false },
  { what: 'all but the user', request: 'GET /version', username: 'eve', matches: false },
])('a request that meets $what matches: $matches', ({ request, username = 'ada', matches }) => {
  expect(compileRule(rule)({ user: user(username), info: infoOf(request) })).toBe(matches)
})

test('a rule without resources matches no resource request, whatever its paths', () => {
  const matches = compileRule({ ...common, nonResourceURLs: ['*'] })
  expect(matches({ user: user('ada'), info: infoOf('GET /api/v1/pods') })).toBe(false)
  expect(matches({ user: user('ada'), info: infoOf('GET /version') })).toBe(true)
})

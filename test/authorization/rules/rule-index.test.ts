import fc from 'fast-check'
import { expect, test } from 'vitest'

import type { UserInfo } from '../../../src/authentication/authenticator.ts'
import type { Decision } from '../../../src/authorization/authorizer.ts'
import { compileRule } from '../../../src/authorization/rules/compile-rule.ts'
import { compileRules } from '../../../src/authorization/rules/compile.ts'
import type { AccessRule } from '../../../src/authorization/rules/schema.ts'
import { infoOf, user } from '../fixtures.ts'

const names = ['a', 'b', 'team-a', 'team-b', 'team-*', '*', 'te*']
const some = (values: readonly string[]) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 })
const optional = (values: readonly string[]) => fc.option(some(values), { nil: undefined })
const ruleArbitrary = fc
  .record({
    effect: fc.constantFrom('allow' as const, 'deny' as const),
    mode: fc.constantFrom('enforce' as const, 'shadow' as const),
    verbs: some(['get', 'list', 'connect', '*']),
    users: optional(names),
    groups: optional(names),
    resources: some(['pods', 'pods/*', 'pods/exec', 'secrets', '*', '*/proxy', 'services/proxy']),
    namespaces: optional([...names, '']),
    resourceNames: optional(names),
    urls: optional(['/version', '/healthz/*', '*', '/logs']),
  })
  .map(({ users, groups, resources, namespaces, resourceNames, urls, ...rule }) =>
    withoutUndefined({
      ...rule,
      name: 'r',
      subjects:
        users !== undefined || groups !== undefined
          ? withoutUndefined({ users, groups })
          : undefined,
      resources: [withoutUndefined({ apiGroups: [''], resources, namespaces, resourceNames })],
      nonResourceURLs: urls,
    }),
  )
const requests = [
  'GET /api/v1/namespaces/team-a/pods',
  'GET /api/v1/namespaces/team-b/pods/a/exec',
  'POST /api/v1/namespaces/a/pods/team-a/exec',
  'GET /api/v1/namespaces/b/secrets/b',
  'GET /api/v1/pods',
  'GET /api/v1/namespaces/a/services/b/proxy/x',
  'GET /api/v1/proxy/namespaces/a/services/b',
  'GET /version',
  'GET /logs/',
  'GET /healthz/ping',
]

test('the index finds every rule that a linear search finds', () => {
  fc.assert(
    fc.property(
      fc.array(ruleArbitrary, { maxLength: 12 }),
      fc.constantFrom(...requests),
      fc.constantFrom('a', 'team-a', 'x'),
      fc.subarray(['b', 'team-b', 'y']),
      fc.constantFrom('unknown' as const, [], ['team-a'], ['z', 'a'], undefined),
      (parts, request, username, groups, unassertedGroups) => {
        const rules = parts.map((part, i) => ({ ...part, name: `r${i}` })) as AccessRule[]
        const attributes = {
          user: withoutUndefined({ ...user(username, groups), unassertedGroups }) as UserInfo,
          info: infoOf(request),
        }
        const matching = rules.filter((rule) => compileRule(rule)(attributes))
        const enforced = matching.filter(({ mode }) => mode === 'enforce')
        const expected = enforced.find(({ effect }) => effect === 'deny') ?? enforced[0]
        const decision = compileRules({ default: 'deny', rules })(attributes) as Decision
        expect(decision.rule).toBe(expected?.name ?? '')
      },
    ),
    { numRuns: 500 },
  )
})

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T
}

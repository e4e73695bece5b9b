import { expect, test } from 'vitest'

import type { Decision } from '../../../../src/authorization/authorizer.ts'
import { compileRules } from '../../../../src/authorization/rules/compile.ts'
import { rulesSchema } from '../../../../src/authorization/rules/schema.ts'
import { infoOf, user, userWithUnasserted } from '../../fixtures.ts'
import { allowAll, load, problemsOf } from '../fixtures.ts'

const POD = infoOf('GET /api/v1/namespaces/d/pods/a')

function decide(rules: readonly unknown[], impersonator?: ReturnType<typeof user>): string {
  const file = { apiVersion: 'gatehouse/v1', kind: 'AccessRules', rules }
  const authorize = compileRules(rulesSchema.parse(file))
  const attributes = { user: user('eve', ['a']), info: POD }
  const all = impersonator === undefined ? attributes : { ...attributes, impersonator }
  return (authorize(all) as Decision).decision
}

const deny = (impersonatedBy: object) => ({
  ...{ ...allowAll, name: 'no', effect: 'deny' },
  impersonatedBy,
})

test('a rule applies to requests of these users as others, and to no others', () => {
  const rules = [allowAll, deny({ users: ['boss'], groups: ['chief*'] })]
  expect(decide(rules)).toBe('allow')
  expect(decide(rules, user('boss'))).toBe('deny')
  expect(decide(rules, user('x', ['chiefs']))).toBe('deny')
  expect(decide(rules, user('eve', ['a']))).toBe('allow')
  expect(decide([allowAll, deny({ users: ['*'] })], user('x'))).toBe('deny')
  expect(decide([allowAll, deny({ users: ['*'] })])).toBe('allow')
})

test('an allow rule for these users does not allow the user to act alone', () => {
  const rules = [{ ...allowAll, impersonatedBy: { users: ['boss'] } }]
  expect(decide(rules)).toBe('noOpinion')
  expect(decide(rules, user('boss'))).toBe('allow')
})

test('a deny rule for groups applies to a user who may be in one of them', () => {
  const rules = [allowAll, deny({ groups: ['interns'] })]
  expect(decide(rules, userWithUnasserted('unknown'))).toBe('deny')
  const allow = [{ ...allowAll, impersonatedBy: { groups: ['interns'] } }]
  expect(decide(allow, userWithUnasserted('unknown'))).toBe('noOpinion')
})

test('a test of the file may let one user act as another one', () => {
  const rules = [
    { ...allowAll, name: 'read', verbs: ['get'] },
    {
      ...{ name: 'as', effect: 'allow', verbs: ['impersonate'] },
      subjects: { users: ['boss'] },
      resources: [{ apiGroups: [''], resources: ['users', 'serviceaccounts'] }],
    },
    { ...deny({ users: ['boss'] }), name: 'not-secrets', resources: secrets },
  ]
  const boss = { username: 'boss' }
  const eve = { username: 'eve' }
  const pods = 'GET /api/v1/namespaces/d/pods/a'
  const tests = [
    { user: boss, as: eve, request: pods, expect: 'allow', rule: 'read' },
    { user: eve, as: boss, request: pods, expect: 'deny', rule: '' },
    { user: boss, as: { ...eve, groups: ['a'] }, request: pods, expect: 'deny' },
    { user: boss, as: eve, request: 'GET /api/v1/namespaces/d/secrets/s', expect: 'deny' },
    { user: eve, request: 'GET /api/v1/namespaces/d/secrets/s', expect: 'allow' },
    {
      ...{ user: boss, as: { username: 'system:serviceaccount:d:s' } },
      ...{ request: pods, expect: 'allow' },
    },
  ]
  expect(problemsOf(rules, { tests })).toEqual([])
  expect(load(rules, { tests }).tests).toBe(6)
})

const secrets = [{ apiGroups: [''], resources: ['secrets'] }]

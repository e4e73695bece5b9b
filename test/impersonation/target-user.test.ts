import { expect, test } from 'vitest'

import { guardTarget, targetUser } from '../../src/impersonation/target-user.ts'

const NONE = { systemIdentities: { users: [], groups: [] } }
const CALLER = { username: 'boss', uid: '', groups: ['chiefs'], extra: {} }
const user = (username: string, ...groups: string[]) => ({ username, uid: '', groups, extra: {} })

test.for([
  user('ada', 'engineers'),
  user('system:anonymous'),
  user('ada', 'system:authenticated'),
  user('ada', 'system:unauthenticated'),
  user('system:serviceaccount:team-a:default'),
  user(
    'system:serviceaccount:team-a:default',
    'system:serviceaccounts',
    'system:serviceaccounts:x',
  ),
])('$username in $groups can be impersonated', (target) => {
  expect(() => {
    guardTarget(target, NONE)
  }).not.toThrow()
})

test.for([
  user('ada', 'system:masters'),
  user('ada', 'System:Masters'),
  user('system:admin'),
  user('system:node:a'),
  user('system:kube-controller-manager'),
  user('system:serviceaccount:team-a:Default'),
  user('system:serviceaccount:team-a:a:b'),
  user('system:serviceaccount:team-a:'),
  user('ada', 'system:nodes'),
  user('ada', 'system:serviceaccountsx'),
  user('a\u200bda'),
  user('ada', 'a\u0000b'),
  user('ada', ...Array.from({ length: 65 }, (_, i) => `group-${i}`)),
  { ...user('ada'), extra: { 'gatehouse/original-user': ['x'] } },
  { ...user('ada'), extra: { 'Gatehouse/Original-User': ['x'] } },
])('$username in $groups with $extra cannot be impersonated', (target) => {
  expect(() => {
    guardTarget(target, NONE)
  }).toThrow(expect.objectContaining({ code: 403 }))
})

test('a system name that the administrator lists can be impersonated', () => {
  const systemIdentities = { users: ['system:node:a'], groups: ['system:nodes'] }
  expect(() => {
    guardTarget(user('system:node:a', 'system:nodes'), { systemIdentities })
  }).not.toThrow()
})

test.for([
  [user('ada'), ['system:authenticated']],
  [user('ada', 'a'), ['a', 'system:authenticated']],
  [user('ada', 'system:authenticated'), ['system:authenticated']],
  [user('ada', 'system:unauthenticated'), ['system:unauthenticated']],
  [user('system:anonymous'), ['system:unauthenticated']],
  [user('system:anonymous', 'a'), ['a', 'system:unauthenticated']],
  [
    user('system:serviceaccount:x:y'),
    ['system:serviceaccounts', 'system:serviceaccounts:x', 'system:authenticated'],
  ],
  [user('system:serviceaccount:x:y', 'a'), ['a', 'system:authenticated']],
] as const)('the user gets the groups that kube-apiserver adds: %j', ([target, groups]) => {
  expect(targetUser(target, undefined, CALLER).groups).toEqual(groups)
})

test('an extra names the caller', () => {
  const target = { ...user('ada'), extra: { scopes: ['view'] } }
  expect(targetUser(target, undefined, CALLER).extra).toEqual({
    scopes: ['view'],
    'gatehouse/original-user': ['boss'],
  })
})

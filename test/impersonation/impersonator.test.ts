import { expect, test } from 'vitest'

import type { UserInfo } from '../../src/authentication/authenticator.ts'
import type { Attributes } from '../../src/authorization/authorizer.ts'
import { createImpersonator } from '../../src/impersonation/impersonator.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'

const info = resolveRequestInfo('GET', parseTarget('GET', '/api/v1/namespaces/x/pods'))
const user = (username: string, more: Partial<UserInfo> = {}): UserInfo => ({
  ...{ username, uid: '', groups: [], extra: {} },
  ...more,
})
const NODE = 'authentication.kubernetes.io/node-name'
const POD = 'authentication.kubernetes.io/pod-name'

/** In words: `verb group/resource[/subresource] namespace/name`, with the extras of the caller. */
function say({ user: caller, info: asked }: Attributes): string {
  const { verb, apiGroup, resource, subresource, namespace, name } = asked
  const keys = Object.keys(caller.extra).map((key) => ` (${key})`)
  const what = subresource === '' ? resource : `${resource}:${subresource}`
  return `${verb} ${apiGroup}/${what} ${namespace}/${name}${keys.join('')}`
}

function impersonatorOf(
  allowed: readonly string[] | 'everything',
  { isEnforced = true, systemUsers = [] as string[] } = {},
) {
  const asked: string[] = []
  const impersonate = createImpersonator(
    { systemIdentities: { users: systemUsers, groups: [] } },
    {
      async review(attributes) {
        const words = say(attributes)
        asked.push(words)
        return { allowed: allowed === 'everything' || allowed.includes(words), reason: '' }
      },
      isEnforced: async () => isEnforced,
    },
  )
  return { impersonate, asked }
}

const ON = 'impersonate-on:user-info:list /pods x/'
const CONSTRAINED_ADA = 'impersonate:user-info authentication.k8s.io/users /ada'
const LEGACY_ADA = 'impersonate /users /ada'

test('a constrained mode needs the request and each part of the user', async () => {
  const extra = { 'acme.com/reason': ['x'] }
  const { impersonate, asked } = impersonatorOf('everything')
  const requested = user('ada', { uid: '7', groups: ['a'], extra })
  const result = await impersonate({ caller: user('boss'), requested, info })
  expect(asked).toEqual([
    ON,
    CONSTRAINED_ADA,
    'impersonate:user-info authentication.k8s.io/uids /7',
    'impersonate:user-info authentication.k8s.io/groups /a',
    'impersonate:user-info authentication.k8s.io/userextras:acme.com/reason /x',
  ])
  expect(result).toEqual({
    constraint: 'impersonate:user-info',
    user: {
      ...requested,
      groups: ['a', 'system:authenticated'],
      extra: { ...extra, 'gatehouse/original-user': ['boss'] },
    },
  })
})

test('legacy impersonation is tried last, and the first refusal is reported', async () => {
  const { impersonate, asked } = impersonatorOf([])
  await expect(
    impersonate({ caller: user('boss'), requested: user('ada'), info }),
  ).rejects.toMatchObject({
    code: 403,
    message:
      'pods is forbidden: User "boss" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "x"',
  })
  expect(asked).toEqual([ON, LEGACY_ADA])
})

test('the permission for the request alone is not enough', async () => {
  const { impersonate } = impersonatorOf([ON])
  await expect(
    impersonate({ caller: user('boss'), requested: user('ada'), info }),
  ).rejects.toMatchObject({
    message: expect.stringContaining('cannot impersonate:user-info') as string,
  })
})

test('an API server without the feature is asked for legacy impersonation only', async () => {
  const { impersonate, asked } = impersonatorOf([ON, CONSTRAINED_ADA], { isEnforced: false })
  await expect(
    impersonate({ caller: user('boss'), requested: user('ada'), info }),
  ).rejects.toMatchObject({
    message: expect.stringContaining('cannot impersonate resource') as string,
  })
  expect(asked).toEqual([LEGACY_ADA])
})

test('the mode that worked last for a caller is tried first', async () => {
  const { impersonate, asked } = impersonatorOf([LEGACY_ADA])
  const ada = { caller: user('boss'), requested: user('ada'), info }
  expect(await impersonate(ada)).toMatchObject({ constraint: '' })
  asked.length = 0
  await impersonate(ada)
  expect(asked).toEqual([LEGACY_ADA])
  asked.length = 0
  await expect(
    impersonate({ ...ada, caller: user('other'), requested: user('eve') }),
  ).rejects.toThrow('impersonate-on')
  expect(asked[0]).toBe(ON)
})

test('many groups are asked for at once, and then one by one', async () => {
  const groups = ['a', 'b', 'c', 'd']
  const of = (name: string) => `impersonate:user-info authentication.k8s.io/groups /${name}`
  const at = { caller: user('boss'), requested: user('ada', { groups }), info }
  const whole = impersonatorOf([ON, CONSTRAINED_ADA, of('*')])
  expect(await whole.impersonate(at)).toMatchObject({ constraint: 'impersonate:user-info' })
  expect(whole.asked).toEqual([ON, CONSTRAINED_ADA, of('*')])
  const single = impersonatorOf([ON, CONSTRAINED_ADA, ...groups.map(of)])
  expect(await single.impersonate(at)).toMatchObject({ constraint: 'impersonate:user-info' })
  expect(single.asked).toEqual([ON, CONSTRAINED_ADA, of('*'), ...groups.map(of)])
})

test.for([
  [{ scopes: ['x'] }, 'an invalid key'],
  [{ 'acme.com/Key': ['x'] }, 'a non-lowercase key'],
] as const)('a constrained mode refuses the extra %j', async ([extra, message]) => {
  const { impersonate } = impersonatorOf([ON, CONSTRAINED_ADA])
  await expect(
    impersonate({ caller: user('boss'), requested: user('ada', { extra }), info }),
  ).rejects.toMatchObject({ code: 403, message: expect.stringContaining(message) as string })
})

test('a service account has a mode and groups of its own', async () => {
  const requested = user('system:serviceaccount:x:y')
  const { impersonate, asked } = impersonatorOf('everything')
  const { user: target } = await impersonate({ caller: user('boss'), requested, info })
  expect(asked).toEqual([
    'impersonate-on:serviceaccount:list /pods x/',
    'impersonate:serviceaccount authentication.k8s.io/serviceaccounts x/y',
  ])
  expect(target.groups).toEqual([
    ...['system:serviceaccounts', 'system:serviceaccounts:x', 'system:authenticated'],
  ])
})

test('a service account with groups can only be impersonated in legacy mode', async () => {
  const requested = user('system:serviceaccount:x:y', { groups: ['a'] })
  const { impersonate, asked } = impersonatorOf('everything')
  expect(await impersonate({ caller: user('boss'), requested, info })).toMatchObject({
    constraint: '',
    user: { groups: ['a', 'system:authenticated'] },
  })
  expect(asked).toEqual(['impersonate /serviceaccounts x/y', 'impersonate /groups /a'])
})

test('a pod acts as its own node by a permission for every node', async () => {
  const caller = user('system:serviceaccount:kube-system:agent', {
    extra: { [NODE]: ['a'], [POD]: ['agent-1'] },
  })
  const { impersonate, asked } = impersonatorOf('everything', { systemUsers: ['system:node:a'] })
  expect(await impersonate({ caller, requested: user('system:node:a'), info })).toMatchObject({
    constraint: 'impersonate:associated-node',
    user: { username: 'system:node:a', groups: ['system:nodes', 'system:authenticated'] },
  })
  const keys = ' (authentication.kubernetes.io/associated-node-keys)'
  expect(asked).toEqual([
    `impersonate-on:associated-node:list /pods x/${keys}`,
    `impersonate:associated-node authentication.k8s.io/nodes /*${keys}`,
  ])
})

test.for([
  ['another node', { [NODE]: ['b'] }],
  ['two nodes', { [NODE]: ['a', 'b'] }],
  ['no node', {}],
] as const)('a pod of %s needs the permission for the node by name', async ([, extra]) => {
  const caller = user('system:serviceaccount:kube-system:agent', { extra })
  const { impersonate } = impersonatorOf('everything', { systemUsers: ['system:node:a'] })
  expect(await impersonate({ caller, requested: user('system:node:a'), info })).toMatchObject({
    constraint: 'impersonate:arbitrary-node',
  })
})

test('whom nobody can impersonate is refused without a review', async () => {
  const { impersonate, asked } = impersonatorOf('everything')
  for (const requested of [user('ada', { groups: ['system:masters'] }), user('system:node:a')]) {
    await expect(impersonate({ caller: user('boss'), requested, info })).rejects.toMatchObject({
      code: 403,
    })
  }
  expect(asked).toEqual([])
})

import { resolve } from 'node:path'

import { describe, expect, test } from 'vitest'

import type { Decision } from '../../../src/authorization/authorizer.ts'
import { loadRules } from '../../../src/authorization/rules/load.ts'
import { infoOf, user } from '../fixtures.ts'
import { core, good, load, problemsOf } from './fixtures.ts'

const cases: { name: string; rules: object[]; problem: string }[] = [
  {
    name: 'an unknown field',
    rules: [{ ...good, subject: { users: ['ada'] } }],
    problem: 'rules[0].subject: unknown field (did you mean subjects?)',
  },
  {
    name: 'a name that is used twice',
    rules: [good, good],
    problem: 'rules[1].name: the name "r" is used more than once (give each rule a unique name)',
  },
  {
    name: 'an unknown verb',
    rules: [{ ...good, verbs: ['read'] }],
    problem:
      'rules[0].verbs[0]: unknown verb "read" (must be one of: get, list, watch, create, update, patch, delete, deletecollection, connect, impersonate, "*")',
  },
  {
    name: 'a "when" expression',
    rules: [{ ...good, when: 'now.getHours() < 7' }],
    problem: 'rules[0].when: conditions are not supported by this version (remove the field)',
  },
  {
    name: 'an allow of exec by an RBAC verb',
    rules: [{ ...good, verbs: ['create'], resources: core('pods/exec') }],
    problem:
      'rules[0].resources[0].resources[0]: "pods/exec" can be allowed only by the verb connect (add connect to the verbs)',
  },
  {
    name: 'a deny of exec by verbs that no exec has',
    rules: [{ ...good, effect: 'deny', verbs: ['update'], resources: core('pods/exec') }],
    problem:
      'rules[0].resources[0].resources[0]: "pods/exec" is denied only by the verb connect, get or create (add connect to the verbs)',
  },
  {
    name: 'a resource in capitals',
    rules: [{ ...good, resources: core('ConfigMaps') }],
    problem:
      'rules[0].resources[0].resources[0]: "ConfigMaps" is not a resource (resources are lower-case plurals: configmaps)',
  },
  {
    name: 'a version in place of a group',
    rules: [{ ...good, resources: [{ apiGroups: ['v1'], resources: ['pods'] }] }],
    problem:
      'rules[0].resources[0].apiGroups[0]: "v1" is a version, not an API group (use the group alone; the core group is "")',
  },
  {
    name: 'a version in a group',
    rules: [{ ...good, resources: [{ apiGroups: ['apps/v1'], resources: ['pods'] }] }],
    problem: 'rules[0].resources[0].apiGroups[0]: "apps/v1" contains a version (use "apps")',
  },
  {
    name: 'the core group by name',
    rules: [{ ...good, resources: [{ apiGroups: ['core'], resources: ['pods'] }] }],
    problem:
      'rules[0].resources[0].apiGroups[0]: "core" is not an API group (use "" for the core group)',
  },
  {
    name: 'a star inside a pattern',
    rules: [{ ...good, subjects: { users: ['a*a'] } }],
    problem: 'rules[0].subjects.users[0]: "a*a" has a "*" before its end (use "*" only at the end)',
  },
  {
    name: 'subjects without users and groups',
    rules: [{ ...good, subjects: {} }],
    problem:
      'rules[0].subjects: matches no user (set users or groups, or omit subjects to match every user)',
  },
  {
    name: 'a rule without resources and paths',
    rules: [{ name: 'r', effect: 'deny', verbs: ['*'] }],
    problem: 'rules[0]: matches no request (set resources, nonResourceURLs or both)',
  },
  {
    name: 'an empty list',
    rules: [{ ...good, verbs: [] }],
    problem:
      'rules[0].verbs: is empty (RBAC verbs, connect (exec, attach, portforward, proxy), impersonate or "*")',
  },
  {
    name: 'a path without a leading slash',
    rules: [{ name: 'r', effect: 'deny', verbs: ['*'], nonResourceURLs: ['healthz'] }],
    problem: 'rules[0].nonResourceURLs[0]: is not a path (start with "/", or use "*")',
  },
  {
    name: 'a resource with two slashes',
    rules: [{ ...good, resources: core('pods/a/b') }],
    problem:
      'rules[0].resources[0].resources[0]: "pods/a/b" is not a resource (use pods, pods/log, "pods/*", "*/scale" or "*")',
  },
]

test.for(cases)('$name is a problem', ({ rules, problem }) => {
  expect(problemsOf(rules)).toEqual([expect.stringContaining(problem)])
})

test('a failed test of the file is a problem', () => {
  const ask = { user: { username: 'ada' }, request: 'GET /api/v1/namespaces/a/pods/p' }
  expect(problemsOf([good], { tests: [{ ...ask, expect: 'allow', rule: 'r' }] })).toEqual([])
  expect(problemsOf([good], { tests: [{ ...ask, expect: 'deny' }] })).toEqual([
    expect.stringContaining('tests[0].expect: the decision is allow, made by rule "r"'),
  ])
  expect(problemsOf([good], { tests: [{ ...ask, expect: 'allow', rule: 'x' }] })).toEqual([
    expect.stringContaining('tests[0].rule: the decision was made by rule "r"'),
  ])
  expect(problemsOf([good], { tests: [{ ...ask, request: 'GET //', expect: 'deny' }] })).toEqual([
    expect.stringContaining('tests[0].request: '),
  ])
})

test('a test can describe a user whose groups are not known', () => {
  const forGroup = { ...good, subjects: { groups: ['g'] } }
  const deny = { ...forGroup, name: 'd', effect: 'deny', resources: core('secrets') }
  const ask = { user: { username: 'ada', groupsAreKnown: false } }
  const secrets = { ...ask, request: 'GET /api/v1/namespaces/a/secrets/s' }
  const pods = { ...ask, request: 'GET /api/v1/namespaces/a/pods/p' }
  const known = { ...secrets, user: { username: 'ada' } }
  const rules = [deny, forGroup, { ...good, name: 'all', resources: core('secrets') }]
  expect(
    problemsOf(rules, {
      tests: [
        { ...secrets, expect: 'deny', rule: 'd' },
        { ...known, expect: 'allow', rule: 'all' },
        { ...pods, expect: 'deny', rule: '' },
      ],
    }),
  ).toEqual([])
  const both = { username: 'ada', groups: ['g'], groupsAreKnown: false }
  expect(problemsOf(rules, { tests: [{ ...pods, user: both, expect: 'deny' }] })).toEqual([
    expect.stringContaining(
      'tests[0].user: states groups although groupsAreKnown is false (remove one of the two)',
    ),
  ])
})

test('a failed test names the shadow rule that would have passed it', () => {
  const deny = {
    name: 'd',
    effect: 'deny',
    mode: 'shadow',
    verbs: ['*'],
    resources: core('pods'),
  }
  const test = {
    user: { username: 'ada' },
    request: 'GET /api/v1/namespaces/a/pods/p',
    expect: 'deny',
  }
  expect(problemsOf([good, deny], { tests: [test] })).toEqual([
    expect.stringContaining(
      'the decision is allow, made by rule "r"; rule "d" would deny it but is in mode: shadow (',
    ),
  ])
})

test('a file that has lost all its tests is warned of', () => {
  const request = 'GET /api/v1/namespaces/a/pods/p'
  const tests = [{ user: { username: 'ada' }, request, expect: 'allow' }]
  const before = load([good], { tests })
  const lost = (rest: object, current = before) =>
    load([good], rest, current).warnings.filter(({ field }) => field === 'tests')
  expect(lost({})).toMatchObject([
    {
      message: 'has no tests, but the version before it had 1: it may be cut off',
      fix: 'restore the tests, or the whole file',
    },
  ])
  expect(lost({ tests })).toEqual([])
  expect(lost({}, load([good]))).toEqual([])
})

describe('deny rules behind an allow rule', () => {
  const deny = (name: string) => ({
    name,
    effect: 'deny',
    verbs: ['*'],
    resources: core('secrets'),
  })
  const orderOf = (...rules: object[]) =>
    load(rules)
      .warnings.filter(({ message }) => message.includes('behind an allow rule'))
      .map(({ field, message, fix }) => `${field}: ${message} (${fix})`)

  test('are warned of, once for the file', () => {
    expect(orderOf(good, deny('a'))).toEqual([
      'rules[1]: the deny rule "a" is behind an allow rule: order does not matter, and a file that is cut off loses its end first (move deny rules before allow rules)',
    ])
    expect(orderOf(deny('a'), good, deny('b'), deny('c'))).toEqual([
      expect.stringContaining('rules[2]: the deny rule "b" (and 1 more) is behind an allow rule: '),
    ])
  })

  test('are not warned of if all deny rules come first', () => {
    expect(orderOf(deny('a'), deny('b'), good)).toEqual([])
    expect(orderOf(deny('a'))).toEqual([])
  })
})

describe('the shipped rules', () => {
  const { authorize } = loadRules(resolve(import.meta.dirname, '../../../config/rules.yaml'))
  const decide = (request: string) =>
    (authorize({ user: user('ada', []), info: infoOf(request) }) as Decision).decision

  test.for([
    'GET /api/v1/namespaces/x/services/y:80/proxy/',
    'GET /api/v1/namespaces/x/services/https:y:443/proxy/a/b',
    'POST /api/v1/namespaces/x/services/y/proxy',
    'OPTIONS /api/v1/namespaces/x/pods/p/proxy',
    'PUT /api/v1/namespaces/x/pods/p:8080/proxy/x',
    'GET /api/v1/nodes/n/proxy/exec',
    'HEAD /api/v1/nodes/n:10250/proxy/',
    'GET /api/v1/proxy/nodes/n',
    'GET /api/v1/proxy/namespaces/x/services/y',
    'PATCH /api/v1/proxy/namespaces/x/pods/p',
  ])('deny %s', (request) => {
    expect(decide(request)).toBe('deny')
  })

  test.for([
    'GET /api/v1/namespaces/x/pods/proxy',
    'GET /api/v1/namespaces/proxy/services/proxy',
    'GET /api/v1/namespaces/x/configmaps/proxy',
    'GET /api/v1/namespaces/x/services?labelSelector=proxy',
    'GET /apis/apps/v1/namespaces/x/deployments/proxy',
    'POST /api/v1/namespaces/x/pods/p/exec?command=sh',
    'GET /version',
  ])('allow %s', (request) => {
    expect(decide(request)).toBe('allow')
  })
})

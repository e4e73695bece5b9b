import { resolve } from 'node:path'

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import type { Decision } from '../../src/authorization/authorizer.ts'
import { compileRules } from '../../src/authorization/rules/compile.ts'
import { loadRules } from '../../src/authorization/rules/load.ts'
import { compileRule } from '../../src/authorization/rules/compile-rule.ts'
import { rulesSchema, type AccessRule } from '../../src/authorization/rules/schema.ts'
import { ConfigError, formatProblem } from '../../src/config/problem.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-rules-'))

type Ask = (request: string, groups?: readonly string[], username?: string) => Decision

function asking(rules: readonly unknown[], byDefault = 'deny'): Ask {
  const file = rulesSchema.parse({
    apiVersion: 'gatehouse/v1',
    kind: 'AccessRules',
    default: byDefault,
    rules,
  })
  const authorize = compileRules(file)
  return (request, groups = [], username = 'ada') =>
    authorize({ user: user(username, groups), info: infoOf(request) }) as Decision
}

function user(username: string, groups: readonly string[]) {
  return { username, uid: '', groups, extra: {} }
}

function infoOf(request: string) {
  const [method = '', target = ''] = request.split(' ')
  return resolveRequestInfo(method, parseTarget(method, target))
}

const EVERYTHING = [{ apiGroups: ['*'], resources: ['*'] }]
const allowAll = { name: 'all', effect: 'allow', verbs: ['*'], resources: EVERYTHING }
const core = (...resources: string[]) => [{ apiGroups: [''], resources }]

test('deny overrides allow, whichever stands first', () => {
  const deny = { name: 'no-secrets', effect: 'deny', verbs: ['*'], resources: core('secrets') }
  for (const rules of [
    [allowAll, deny],
    [deny, allowAll],
  ]) {
    const ask = asking(rules)
    expect(ask('GET /api/v1/secrets')).toMatchObject({ decision: 'deny', rule: 'no-secrets' })
    expect(ask('GET /api/v1/pods')).toMatchObject({ decision: 'allow', rule: 'all' })
  }
})

test('what no rule matches is the default, deny unless said otherwise', () => {
  expect(asking([])('GET /api/v1/pods').decision).toBe('noOpinion')
  expect(asking([], 'allow')('GET /api/v1/pods').decision).toBe('allow')
})

describe('a rule matches the resolved request', () => {
  const cases: { name: string; rule: object; yes: string[]; no: string[] }[] = [
    {
      name: 'a resource without its subresources',
      rule: { verbs: ['get'], resources: core('pods') },
      yes: ['GET /api/v1/namespaces/a/pods/p'],
      no: ['GET /api/v1/namespaces/a/pods/p/log', 'GET /apis/x.io/v1/namespaces/a/pods/p'],
    },
    {
      name: 'a subresource alone',
      rule: { verbs: ['get'], resources: core('pods/log') },
      yes: ['GET /api/v1/namespaces/a/pods/p/log'],
      no: ['GET /api/v1/namespaces/a/pods/p'],
    },
    {
      name: 'every subresource of a resource, not the resource',
      rule: { verbs: ['get'], resources: core('pods/*') },
      yes: ['GET /api/v1/namespaces/a/pods/p/log', 'GET /api/v1/namespaces/a/pods/p/status'],
      no: ['GET /api/v1/namespaces/a/pods/p', 'GET /api/v1/namespaces/a/podsets/p/x'],
    },
    {
      name: 'one subresource of every resource',
      rule: { verbs: ['get'], resources: [{ apiGroups: ['*'], resources: ['*/scale'] }] },
      yes: ['GET /apis/apps/v1/namespaces/a/deployments/d/scale'],
      no: ['GET /apis/apps/v1/namespaces/a/deployments/d'],
    },
    {
      name: 'namespaces by prefix, and no request across all of them',
      rule: {
        verbs: ['list'],
        resources: [{ apiGroups: [''], resources: ['pods'], namespaces: ['team-*'] }],
      },
      yes: ['GET /api/v1/namespaces/team-a/pods'],
      no: ['GET /api/v1/namespaces/kube-system/pods', 'GET /api/v1/pods'],
    },
    {
      name: 'the empty namespace as cluster-scoped and all-namespace requests',
      rule: {
        verbs: ['list'],
        resources: [{ apiGroups: [''], resources: ['*'], namespaces: [''] }],
      },
      yes: ['GET /api/v1/pods', 'GET /api/v1/nodes'],
      no: ['GET /api/v1/namespaces/a/pods'],
    },
    {
      name: 'object names',
      rule: {
        verbs: ['get', 'list'],
        resources: [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['app-*'] }],
      },
      yes: [
        'GET /api/v1/namespaces/a/secrets/app-1',
        'GET /api/v1/namespaces/a/secrets?fieldSelector=metadata.name%3Dapp-1',
      ],
      no: ['GET /api/v1/namespaces/a/secrets/root', 'GET /api/v1/namespaces/a/secrets'],
    },
    {
      name: 'paths that are no resources, exact and by prefix',
      rule: { verbs: ['get'], nonResourceURLs: ['/version', '/healthz/*'] },
      yes: ['GET /version', 'GET /healthz/etcd'],
      no: ['GET /healthz', 'GET /versions', 'GET /version/', 'GET /api/v1/pods', 'POST /version'],
    },
    {
      name: 'watch apart from list',
      rule: { verbs: ['list'], resources: core('pods') },
      yes: ['GET /api/v1/pods', 'GET /api/v1/pods?watch=false'],
      no: ['GET /api/v1/pods?watch=true', 'GET /api/v1/watch/pods', 'GET /api/v1/pods?watch='],
    },
  ]

  test.for(cases)('$name', ({ rule, yes, no }) => {
    const ask = asking([{ name: 'r', effect: 'allow', ...rule }])
    for (const request of yes)
      expect(`${request} ${ask(request).decision}`).toBe(`${request} allow`)
    for (const request of no) {
      expect(`${request} ${ask(request).decision}`).toBe(`${request} noOpinion`)
    }
  })
})

describe('connect', () => {
  const connecters = [
    'GET /api/v1/namespaces/a/pods/p/exec?command=sh',
    'POST /api/v1/namespaces/a/pods/p/exec?command=sh',
    'GET /api/v1/namespaces/a/pods/p/attach',
    'POST /api/v1/namespaces/a/pods/p/portforward',
    'OPTIONS /api/v1/namespaces/a/services/s:80/proxy/x',
    'DELETE /api/v1/nodes/n/proxy/run',
    'GET /api/v1/proxy/namespaces/a/services/s',
  ]

  test.for(connecters)('%s is granted by that verb only', (request) => {
    const byMethod = asking([
      {
        name: 'r',
        effect: 'allow',
        verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'options', 'proxy'],
        resources: EVERYTHING,
      },
    ])
    expect(byMethod(request).decision).toBe('noOpinion')
    const byConnect = asking([
      { name: 'r', effect: 'allow', verbs: ['connect'], resources: EVERYTHING },
    ])
    expect(byConnect(request).decision).toBe('allow')
  })

  test('says nothing of other requests', () => {
    const ask = asking([{ name: 'r', effect: 'allow', verbs: ['connect'], resources: EVERYTHING }])
    expect(ask('GET /api/v1/namespaces/a/pods/p/log').decision).toBe('noOpinion')
    expect(ask('GET /api/v1/namespaces/a/pods/proxy').decision).toBe('noOpinion')
  })

  test('a deny rule takes the verb of the method as well', () => {
    const ask = asking([
      allowAll,
      { name: 'no', effect: 'deny', verbs: ['get'], resources: core('*') },
    ])
    expect(ask('GET /api/v1/namespaces/a/pods/p/exec').decision).toBe('deny')
    expect(ask('POST /api/v1/namespaces/a/pods/p/exec').decision).toBe('allow')
  })
})

describe('subjects', () => {
  const rule = (subjects: object) => ({ ...allowAll, subjects })

  test('either a user or a group is enough, by prefix too', () => {
    const ask = asking([rule({ users: ['ada', 'ci-*'], groups: ['oidc:eng*'] })])
    expect(ask('GET /api/v1/pods', [], 'ada').decision).toBe('allow')
    expect(ask('GET /api/v1/pods', [], 'ci-42').decision).toBe('allow')
    expect(ask('GET /api/v1/pods', ['oidc:engineers'], 'x').decision).toBe('allow')
    expect(ask('GET /api/v1/pods', ['oidc:en'], 'x').decision).toBe('noOpinion')
    expect(ask('GET /api/v1/pods', [], 'adam').decision).toBe('noOpinion')
  })

  test('a deny for a group leaves others alone', () => {
    const ask = asking([
      allowAll,
      { ...rule({ groups: ['interns'] }), name: 'no', effect: 'deny', resources: core('secrets') },
    ])
    expect(ask('GET /api/v1/secrets', ['interns']).decision).toBe('deny')
    expect(ask('GET /api/v1/secrets', ['engineers']).decision).toBe('allow')
  })
})

describe('shadow rules', () => {
  const shadow = (effect: string, resource: string) => ({
    name: `try-${effect}`,
    effect,
    mode: 'shadow',
    verbs: ['*'],
    resources: core(resource),
  })

  test('say what they would have changed and change nothing', () => {
    const ask = asking([
      { ...allowAll, resources: core('pods') },
      shadow('deny', 'pods'),
      shadow('allow', 'secrets'),
    ])
    expect(ask('GET /api/v1/pods')).toMatchObject({
      decision: 'allow',
      shadow: [{ rule: 'try-deny', effect: 'deny' }],
    })
    expect(ask('GET /api/v1/secrets')).toMatchObject({
      decision: 'noOpinion',
      shadow: [{ rule: 'try-allow', effect: 'allow' }],
    })
  })

  test('are silent where they would change nothing', () => {
    const ask = asking([
      { name: 'no', effect: 'deny', verbs: ['*'], resources: core('pods') },
      shadow('deny', 'pods'),
      shadow('allow', 'pods'),
    ])
    expect(ask('GET /api/v1/pods').shadow).toEqual([])
  })
})

test('a deny holds for the path with a slash behind it', () => {
  const ask = asking([
    { name: 'all', effect: 'allow', verbs: ['*'], nonResourceURLs: ['*'] },
    { name: 'no', effect: 'deny', verbs: ['*'], nonResourceURLs: ['/logs'] },
  ])
  expect(ask('GET /logs').decision).toBe('deny')
  expect(ask('GET /logs/').decision).toBe('deny')
  expect(ask('GET /logs/x').decision).toBe('allow')
})

test('the message of a deny rule reaches the user, with the name of the rule', () => {
  const ask = asking([
    { name: 'no', effect: 'deny', verbs: ['*'], resources: EVERYTHING, message: 'Ask #platform.' },
  ])
  expect(ask('GET /api/v1/pods').reason).toBe('Ask #platform. (Gatehouse rule "no")')
})

describe('the index', () => {
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

  test('finds whatever a look at every rule finds', () => {
    fc.assert(
      fc.property(
        fc.array(ruleArbitrary, { maxLength: 12 }),
        fc.constantFrom(...requests),
        fc.constantFrom('a', 'team-a', 'x'),
        fc.subarray(['b', 'team-b', 'y']),
        (parts, request, username, groups) => {
          const rules = parts.map((part, i) => ({ ...part, name: `r${i}` })) as AccessRule[]
          const attributes = { user: user(username, groups), info: infoOf(request) }
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
})

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T
}

describe('a rules file', () => {
  function load(rules: readonly object[], rest: object = {}) {
    const file = join(folder, 'rules.yaml')
    writeFileSync(
      file,
      stringify({ apiVersion: 'gatehouse/v1', kind: 'AccessRules', rules, ...rest }),
    )
    return loadRules(file)
  }

  function problemsOf(rules: readonly object[], rest?: object): string[] {
    try {
      load(rules, rest)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      return error.problems.map((problem) => formatProblem(problem).replace(`${folder}/`, ''))
    }
    return []
  }

  const good = { name: 'r', effect: 'allow', verbs: ['get'], resources: core('pods') }
  const cases: { name: string; rules: object[]; problem: string }[] = [
    {
      name: 'an unknown field never means everything',
      rules: [{ ...good, subject: { users: ['ada'] } }],
      problem: 'rules[0].subject: unknown field (did you mean subjects?)',
    },
    {
      name: 'a name twice',
      rules: [good, good],
      problem: 'rules[1].name: the name "r" stands twice',
    },
    {
      name: 'an unknown verb',
      rules: [{ ...good, verbs: ['read'] }],
      problem: 'rules[0].verbs[0]: unknown verb "read"',
    },
    {
      name: 'a condition',
      rules: [{ ...good, when: 'now.getHours() < 7' }],
      problem: 'rules[0].when: conditions are not supported by this version',
    },
    {
      name: 'exec as RBAC would grant it',
      rules: [{ ...good, verbs: ['create'], resources: core('pods/exec') }],
      problem:
        'rules[0].resources[0].resources[0]: "pods/exec" is allowed by the verb connect only',
    },
    {
      name: 'a deny of exec that leaves WebSocket open',
      rules: [{ ...good, effect: 'deny', verbs: ['create'], resources: core('pods/exec') }],
      problem:
        'rules[0].resources[0].resources[0]: "pods/exec" is denied whole by the verb connect',
    },
    {
      name: 'a resource in capitals',
      rules: [{ ...good, resources: core('ConfigMaps') }],
      problem:
        'resources[0]: "ConfigMaps" is no resource (resources are lower-case plurals: configmaps',
    },
    {
      name: 'a version for a group',
      rules: [{ ...good, resources: [{ apiGroups: ['v1'], resources: ['pods'] }] }],
      problem: 'apiGroups[0]: "v1" is a version (the group alone; the core group is "")',
    },
    {
      name: 'a version in a group',
      rules: [{ ...good, resources: [{ apiGroups: ['apps/v1'], resources: ['pods'] }] }],
      problem: 'apiGroups[0]: "apps/v1" holds a version (apps)',
    },
    {
      name: 'the core group by name',
      rules: [{ ...good, resources: [{ apiGroups: ['core'], resources: ['pods'] }] }],
      problem: 'apiGroups[0]: "core" is no API group (the core group is "")',
    },
    {
      name: 'a star inside a pattern',
      rules: [{ ...good, subjects: { users: ['a*a'] } }],
      problem: 'rules[0].subjects.users[0]: "*" stands inside "a*a"',
    },
    {
      name: 'nobody as subject',
      rules: [{ ...good, subjects: {} }],
      problem: 'rules[0].subjects: names nobody',
    },
    {
      name: 'nothing spoken of',
      rules: [{ name: 'r', effect: 'deny', verbs: ['*'] }],
      problem: 'rules[0]: speaks of nothing',
    },
    {
      name: 'an empty list',
      rules: [{ ...good, verbs: [] }],
      problem: 'rules[0].verbs: is empty',
    },
    {
      name: 'a path without a slash',
      rules: [{ name: 'r', effect: 'deny', verbs: ['*'], nonResourceURLs: ['healthz'] }],
      problem: 'rules[0].nonResourceURLs[0]: is no path',
    },
    {
      name: 'a resource with two slashes',
      rules: [{ ...good, resources: core('pods/a/b') }],
      problem: 'rules[0].resources[0].resources[0]: "pods/a/b" is no resource',
    },
  ]

  test.for(cases)('$name is a problem', ({ rules, problem }) => {
    expect(problemsOf(rules).map((text) => text.replace(/^[^ ]+ /, ''))).toEqual([
      expect.stringContaining(problem),
    ])
  })

  test('a test of its own that fails keeps it from coming into force', () => {
    const ask = { user: { username: 'ada' }, request: 'GET /api/v1/namespaces/a/pods/p' }
    expect(problemsOf([good], { tests: [{ ...ask, expect: 'allow', rule: 'r' }] })).toEqual([])
    expect(problemsOf([good], { tests: [{ ...ask, expect: 'deny' }] })).toEqual([
      expect.stringContaining('tests[0].expect: the outcome is allow, by rule "r"'),
    ])
    expect(problemsOf([good], { tests: [{ ...ask, expect: 'allow', rule: 'x' }] })).toEqual([
      expect.stringContaining('tests[0].rule: the rule that decided is "r"'),
    ])
    expect(problemsOf([good], { tests: [{ ...ask, request: 'GET //', expect: 'deny' }] })).toEqual([
      expect.stringContaining('tests[0].request: '),
    ])
  })

  test('a test that fails tells of the rule in shadow that was meant', () => {
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
        'the outcome is allow, by rule "r"; rule "d" would deny, but is in mode: shadow (',
      ),
    ])
  })

  test.for([
    ['', 'secret', 'secrets'],
    ['*', 'pod/log', 'pods/log'],
    ['apps', 'deployment', 'deployments'],
    ['networking.k8s.io', 'networkpolicy', 'networkpolicies'],
    ['storage.k8s.io', 'storageclass', 'storageclasses'],
    ['', 'endpoint', 'endpoints'],
  ] as const)('the singular is warned of: %j %s', ([group, singular, plural]) => {
    const resources = (name: string) => [{ apiGroups: [group], resources: [name] }]
    const { warnings } = load([{ ...good, resources: resources(singular) }])
    expect(warnings).toMatchObject([
      {
        field: 'rules[0].resources[0].resources[0]',
        message: `"${singular}" is the singular, which no request has`,
        fix: `did you mean ${plural}?`,
      },
    ])
    expect(load([{ ...good, resources: resources(plural) }]).warnings).toEqual([])
  })

  test('a resource of a group of its own is named as its authors like', () => {
    const resources = [{ apiGroups: ['example.com'], resources: ['secret'] }]
    expect(load([{ ...good, resources }]).warnings).toEqual([])
  })

  describe('a denial that another verb passes by is warned of', () => {
    const warningsOf = (verbs: readonly string[], ...resources: string[]): string[] =>
      load([{ ...good, effect: 'deny', verbs, resources: core(...resources) }]).warnings.map(
        ({ field, message, fix }) => `${field}: ${message} (${fix})`,
      )

    test.for<readonly [verbs: readonly string[], ...warnings: string[]]>([
      [
        ['get'],
        'denies get without list and watch: the objects can still be read (add list and watch if they are meant too)',
      ],
      [
        ['get', 'list'],
        'denies get without watch: the objects can still be read (add watch if it is meant too)',
      ],
      [
        ['watch'],
        'denies watch without list: the objects can still be read (add list if it is meant too)',
      ],
      [
        ['create'],
        'denies create without patch and update: objects can still be created (kubectl apply --server-side) (add patch and update if they are meant too)',
      ],
      [
        ['update', 'create'],
        'denies update without patch: the objects can still be changed (add patch if it is meant too)',
      ],
      [
        ['patch'],
        'denies patch without update: the objects can still be changed (add update if it is meant too)',
      ],
      [
        ['delete'],
        'denies delete without deletecollection: the objects can still be deleted, a single one by a fieldSelector (add deletecollection if it is meant too)',
      ],
      [
        ['delete', 'list'],
        'denies delete without deletecollection: the objects can still be deleted, a single one by a fieldSelector (add deletecollection if it is meant too)',
        'denies list without watch: the objects can still be read (add watch if it is meant too)',
      ],
    ])('%j', ([verbs, ...warnings]) => {
      expect(warningsOf(verbs, 'configmaps')).toEqual(
        warnings.map((warning) => `rules[0].verbs: ${warning}`),
      )
    })

    test.for([
      [['get', 'list', 'watch']],
      [['list', 'watch']],
      [['create', 'patch', 'update']],
      [['delete', 'deletecollection']],
      [['deletecollection']],
      [['*']],
    ] as const)('and no other: %j', ([verbs]) => {
      expect(warningsOf(verbs, 'configmaps')).toEqual([])
    })

    test('of subresources alone there is none', () => {
      expect(warningsOf(['get', 'create'], 'pods/log', 'serviceaccounts/token')).toEqual([])
      expect(warningsOf(['get'], 'pods/log', 'pods')).toHaveLength(1)
    })

    test('an allow is not warned of', () => {
      expect(load([{ ...good, verbs: ['create', 'delete'] }]).warnings).toEqual([])
    })
  })

  test('denials that a wider request passes by are warned of', () => {
    const { warnings } = load([
      {
        name: 'r',
        effect: 'deny',
        verbs: ['*'],
        resources: [
          { apiGroups: [''], resources: ['secrets'], namespaces: ['a'], resourceNames: ['x'] },
        ],
      },
    ])
    expect(warnings.map(({ field }) => field)).toEqual([
      'rules[0].resources[0].namespaces',
      'rules[0].resources[0].resourceNames',
    ])
  })
})

describe('the shipped rules', () => {
  const { authorize } = loadRules(resolve(import.meta.dirname, '../../config/rules.yaml'))
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
  ])('let %s by', (request) => {
    expect(decide(request)).toBe('allow')
  })
})

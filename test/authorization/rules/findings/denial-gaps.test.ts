import { describe, expect, test } from 'vitest'

import { core, good, load, warningsOf } from '../fixtures.ts'

test.for([
  ['*', 'secret', 'secrets'],
  ['*', 'pod/log', 'pods/log'],
  ['*', 'deployment', 'deployments'],
  ['networking.k8s.io', 'networkpolicy', 'networkpolicies'],
  ['storage.k8s.io', 'storageclass', 'storageclasses'],
  ['*', 'endpoint', 'endpoints'],
] as const)('a singular resource name is warned of: %j %s', ([group, singular, plural]) => {
  const resources = (name: string) => [{ apiGroups: [group], resources: [name] }]
  const warnings = warningsOf({ ...good, resources: resources(singular) })
  expect(warnings).toMatchObject([
    {
      field: 'rules[0].resources[0].resources[0]',
      message: `"${singular}" is a singular, which matches no request`,
      fix: `did you mean ${plural}?`,
    },
  ])
  expect(warningsOf({ ...good, resources: resources(plural) })).toEqual([])
})

test('a singular resource name of another group is not warned of', () => {
  const resources = [{ apiGroups: ['example.com'], resources: ['secret'] }]
  expect(warningsOf({ ...good, resources })).toEqual([])
})

describe('a deny rule with a gap left by another verb', () => {
  const gapsOf = (verbs: readonly string[], ...resources: string[]): string[] =>
    warningsOf({ ...good, effect: 'deny', verbs, resources: core(...resources) }).map(
      ({ field, message, fix }) => `${field}: ${message} (${fix})`,
    )

  test.for<readonly [verbs: readonly string[], ...warnings: string[]]>([
    [
      ['get'],
      'denies get but not list or watch: the objects can still be read (add list and watch to deny them, too)',
    ],
    [
      ['get', 'list'],
      'denies get but not watch: the objects can still be read (add watch to deny it, too)',
    ],
    [
      ['watch'],
      'denies watch but not list: the objects can still be read (add list to deny it, too)',
    ],
    [
      ['create'],
      'denies create but not patch or update: objects can still be created (kubectl apply --server-side) (add patch and update to deny them, too)',
    ],
    [
      ['update', 'create'],
      'denies update but not patch: the objects can still be changed (add patch to deny it, too)',
    ],
    [
      ['patch'],
      'denies patch but not update: the objects can still be changed (add update to deny it, too)',
    ],
    [
      ['delete'],
      'denies delete but not deletecollection: the objects can still be deleted, a single one by a field selector (add deletecollection to deny it, too)',
    ],
    [
      ['delete', 'list'],
      'denies delete but not deletecollection: the objects can still be deleted, a single one by a field selector (add deletecollection to deny it, too)',
      'denies list but not watch: the objects can still be read (add watch to deny it, too)',
    ],
  ])('is warned of: %j', ([verbs, ...warnings]) => {
    expect(gapsOf(verbs, 'configmaps')).toEqual(
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
  ] as const)('is not warned of when no gap is left: %j', ([verbs]) => {
    expect(gapsOf(verbs, 'configmaps')).toEqual([])
  })

  test('is not warned of for subresources alone', () => {
    expect(gapsOf(['get', 'create'], 'pods/log', 'serviceaccounts/token')).toEqual([])
    expect(gapsOf(['get'], 'pods/log', 'configmaps')).toHaveLength(1)
  })

  test('is not warned of if the rule is an allow rule', () => {
    expect(warningsOf({ ...good, verbs: ['create', 'delete'] })).toEqual([])
  })
})

test('a deny rule that a request for more objects evades is warned of', () => {
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

test('a deny rule for a path with a slash at its end is warned of', () => {
  const warningsOfPaths = (...nonResourceURLs: string[]): string[] =>
    warningsOf({ name: 'r', effect: 'deny', nonResourceURLs }).map(
      ({ field, message, fix }) => `${field}: ${message} (${fix})`,
    )
  expect(warningsOfPaths('/metrics/')).toEqual([
    'rules[0].nonResourceURLs[0]: "/metrics/" does not deny "/metrics" (deny it, too)',
  ])
  expect(warningsOfPaths('/metrics/', '/metrics')).toEqual([])
  expect(warningsOfPaths('/metrics/', '/met*')).toEqual([])
})

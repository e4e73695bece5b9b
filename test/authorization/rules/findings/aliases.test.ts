/** Deny rules that leave the same open by another name. */
import { describe, expect, test } from 'vitest'

import { core, load } from '../fixtures.ts'

const deny = (verbs: readonly string[], apiGroup: string, ...resources: string[]) => ({
  name: 'r',
  effect: 'deny',
  verbs,
  resources: [{ apiGroups: [apiGroup], resources }],
})

const DELETE = ['delete', 'deletecollection']
const WRITE = ['update', 'patch']
const READ = ['get', 'list', 'watch']

/** The warnings about other names, as messages and fixes. */
function aliasesOf(...rules: object[]): string[] {
  const named = rules.map((rule, i) => ({ ...rule, name: `r${i}` }))
  return load(named)
    .warnings.filter(({ message }) => message.includes('the same by another name'))
    .map(({ field, message, fix }) => `${field}: ${message} (${fix})`)
}

test.for<readonly [rule: object, ...open: string[]]>([
  [deny(DELETE, '', 'pods'), 'create on pods/eviction (an eviction deletes the pod)'],
  [
    deny(WRITE, '', 'pods'),
    'update and patch on pods/ephemeralcontainers (it runs a container in the pod)',
    'update and patch on pods/resize',
    'update and patch on pods/status',
  ],
  [
    deny(WRITE, 'apps', 'deployments'),
    'update and patch on deployments/scale in apps (it changes the number of replicas)',
    'update and patch on deployments/status in apps',
  ],
  [deny(WRITE, '', 'replicationcontrollers'), 'update and patch on replicationcontrollers/scale'],
  [
    deny(READ, '', 'events'),
    'get, list and watch on events in events.k8s.io (they are the same objects)',
  ],
  [
    deny(READ, 'events.k8s.io', 'events'),
    'get, list and watch on events (they are the same objects)',
  ],
  [
    deny(['*'], '', 'endpoints'),
    'on endpointslices in discovery.k8s.io (they hold the same addresses of services)',
  ],
  [deny(['*'], 'discovery.k8s.io', 'endpointslices'), 'on endpoints (they hold'],
  [deny(['create'], '', 'bindings'), 'create on pods/binding (both bind a pod to a node)'],
  [deny(['create'], '', 'pods/binding'), 'create on bindings (both bind a pod to a node)'],
  [
    deny(['*'], '', 'serviceaccounts'),
    'create on serviceaccounts/token (it issues a token of the account)',
  ],
  [
    deny(READ, '', 'nodes'),
    'get on nodes/status (it is a part of the same object, and returns all of it)',
  ],
  [deny(['*'], '', 'namespaces'), 'update on namespaces/finalize'],
  [
    deny(WRITE, 'certificates.k8s.io', 'certificatesigningrequests'),
    'update and patch on certificatesigningrequests/approval in certificates.k8s.io (it approves the request)',
  ],
  [
    deny(['connect'], '', 'pods/exec'),
    'connect on pods/attach (it reaches a process in the container)',
    'update and patch on pods/ephemeralcontainers (it runs a container in the pod)',
    'connect on nodes/proxy (it reaches every container of the node)',
  ],
  [
    deny(['create'], '', 'pods/portforward'),
    'connect on pods/proxy (it reaches the ports of the pod)',
  ],
  [deny(['*'], '', 'services/proxy'), 'connect on pods/proxy (both reach the ports of pods)'],
  [deny(DELETE, '*', '*'), 'create on pods/eviction (an eviction deletes the pod)'],
])('is warned of, with the spelling that covers it: %j', ([rule, ...open]) => {
  const [warning, ...others] = aliasesOf(rule)
  expect(others).toEqual([])
  expect(warning).toMatch(/^rules\[0\]\.resources\[0\]\.resources\[0\]: /)
  for (const one of open) expect(warning).toContain(one)
  const [spelling = ''] = (open[0] ?? '').split(' (')
  expect(warning?.slice(warning.indexOf('(deny '))).toContain(spelling)
})

/** Covers all other names of pods. */
const SUBRESOURCES = ['pods/*', 'bindings', 'services/proxy', 'nodes/proxy']
const OTHERS = deny(['*'], '', ...SUBRESOURCES)

describe('is not warned of', () => {
  test.for<readonly object[]>([
    [deny([...DELETE, 'create'], '', 'pods', 'pods/eviction')],
    [deny(DELETE, '', 'pods'), deny(['create'], '', 'pods/eviction')],
    [{ ...OTHERS, resources: core('pods', ...SUBRESOURCES) }],
    [deny(['*'], '*', '*')],
    [{ ...deny(DELETE, '', 'pods'), subjects: { groups: ['x'] } }, OTHERS],
    [
      { ...deny(DELETE, '', 'pods'), mode: 'shadow' },
      { ...OTHERS, mode: 'shadow' },
    ],
    [deny(['*'], '', 'secrets', 'configmaps')],
    [{ ...deny(DELETE, '', 'pods'), effect: 'allow' }],
    [deny(['*'], 'example.com', 'pods')],
  ])('when it is covered, or there is none: %j', (rules) => {
    expect(aliasesOf(...rules)).toEqual([])
  })
})

test.for<readonly object[]>([
  [{ ...deny(DELETE, '', 'pods') }, { ...deny(['*'], '', 'pods/*'), mode: 'shadow' }],
  [{ ...deny(DELETE, '', 'pods') }, { ...deny(['*'], '', 'pods/*'), subjects: { groups: ['x'] } }],
  [
    { ...deny(DELETE, '', 'pods'), subjects: { groups: ['a', 'x'] } },
    { ...deny(['*'], '', 'pods/*'), subjects: { groups: ['x'] } },
  ],
])('is warned of when the other deny rule covers less: %j', (rules) => {
  expect(aliasesOf(...rules)[0]).toContain('create on pods/eviction')
})

test.for([['update'], ['patch', 'delete']])(
  'a deny of %j on everything is warned of, since it leaves exec open',
  (verbs) => {
    const messages = load([deny(verbs, '*', '*')]).warnings.map(
      ({ message, fix }) => `${message} (${fix})`,
    )
    expect(messages).toContain(
      'does not deny pods/exec, pods/attach, pods/portforward, services/proxy, nodes/proxy, which change what they reach (add connect to deny them, too)',
    )
  },
)

test.for([
  [['get', 'list', 'watch'], 'list and watch return these objects, too'],
  [['create', 'update', 'patch'], 'create has the name in the body'],
  [
    DELETE,
    'deletecollection deletes these objects, too, a single one by fieldSelector=metadata.name=',
  ],
] as const)('a deny of %j by resourceNames is warned of', ([verbs, open]) => {
  const [entry] = core('configmaps')
  const rule = { ...deny(verbs, ''), resources: [{ ...entry, resourceNames: ['x'] }] }
  expect(load([rule]).warnings).toMatchObject([
    {
      field: 'rules[0].resources[0].resourceNames',
      message: `does not deny requests without a name in their path: ${open}`,
      fix: 'omit resourceNames to deny them, too',
    },
  ])
})

test('a deny of GET on a path is warned of, since other methods do the same', () => {
  const rule = { name: 'r', effect: 'deny', verbs: ['get'], nonResourceURLs: ['/metrics'] }
  expect(load([rule]).warnings).toMatchObject([
    {
      field: 'rules[0].verbs',
      message: 'denies get but no other method: kube-apiserver serves many paths by any method',
      fix: 'deny the paths in a rule without verbs',
    },
  ])
  expect(load([{ ...rule, verbs: undefined }]).warnings).toEqual([])
})

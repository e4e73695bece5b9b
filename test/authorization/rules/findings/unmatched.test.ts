/** Rules that can match nothing: certain ones do not load, likely ones are warned of. */
import { describe, expect, test } from 'vitest'

import { core, good, problemsOf, warningsOf } from '../fixtures.ts'

const BOTH = ['allow', 'deny'] as const
const paths = (verbs: string[], ...nonResourceURLs: string[]) => ({
  name: 'r',
  verbs,
  nonResourceURLs,
})
const of = (apiGroups: string[], ...resources: string[]) => ({
  name: 'r',
  verbs: ['*'],
  resources: [{ apiGroups, resources }],
})

const PROBLEMS: readonly (readonly [what: string, rule: object, problem: string])[] = [
  [
    'post on resources',
    { ...good, verbs: ['post'] },
    'verbs[0]: "post" is an HTTP method, which no request for a resource has as its verb (did you mean create?)',
  ],
  [
    'put on resources',
    { ...good, verbs: ['put'] },
    'verbs[0]: "put" is an HTTP method, which no request for a resource has as its verb (did you mean update?)',
  ],
  [
    'head on resources',
    { ...good, verbs: ['head'] },
    'verbs[0]: "head" is an HTTP method, which no request for a resource has as its verb (did you mean get?)',
  ],
  [
    'methods on resources of a rule that has paths, too',
    { ...paths(['post', 'put'], '/logs'), resources: core('pods') },
    'resources: matches no request: all verbs of the rule are HTTP methods (use RBAC verbs)',
  ],
  [
    'escalate',
    { ...good, verbs: ['escalate'] },
    'verbs[0]: no request has the verb "escalate": kube-apiserver checks it while it serves another verb (use create, update and patch on roles and clusterroles)',
  ],
  [
    'bind',
    { ...good, verbs: ['bind'] },
    'verbs[0]: no request has the verb "bind": kube-apiserver checks it while it serves another verb (use create, update and patch on rolebindings and clusterrolebindings)',
  ],
  [
    'approve',
    { ...good, verbs: ['approve'] },
    'verbs[0]: no request has the verb "approve": kube-apiserver checks it while it serves another verb (use update and patch on certificatesigningrequests/approval)',
  ],
  [
    'sign',
    { ...good, verbs: ['sign'] },
    'verbs[0]: no request has the verb "sign": kube-apiserver checks it while it serves another verb (use update and patch on certificatesigningrequests/status)',
  ],
  ['use', { ...good, verbs: ['use'] }, 'verbs[0]: no request has the verb "use": '],
  [
    'impersonate on pods',
    { ...good, verbs: ['impersonate'] },
    'resources[0].resources[0]: "pods" is nothing that can be impersonated (use users, groups and serviceaccounts, or uids and userextras/KEY)',
  ],
  [
    'impersonate on a subresource of users',
    { ...good, verbs: ['impersonate'], resources: core('users/status') },
    'resources[0].resources[0]: "users/status" is nothing that can be impersonated',
  ],
  [
    'impersonate on paths',
    paths(['impersonate'], '/logs'),
    'verbs[0]: "impersonate" is a verb that no request for a path has: its verb is the HTTP method',
  ],
  [
    'the verb proxy',
    { ...good, verbs: ['proxy'] },
    'verbs[0]: "proxy" is the verb of no request that kube-apiserver serves (use connect)',
  ],
  [
    'a verb in capitals',
    { ...good, verbs: ['GET'] },
    'verbs[0]: unknown verb "GET" (did you mean get?)',
  ],
  [
    'a verb with a blank',
    { ...good, verbs: ['delete '] },
    'verbs[0]: unknown verb "delete " (did you mean delete?)',
  ],
  [
    'list on paths',
    paths(['list'], '/logs'),
    'verbs[0]: "list" is a verb that no request for a path has: its verb is the HTTP method (did you mean get?)',
  ],
  [
    'create on paths',
    paths(['create'], '/logs'),
    'verbs[0]: "create" is a verb that no request for a path has: its verb is the HTTP method (did you mean post?)',
  ],
  [
    'connect on paths',
    paths(['connect'], '/logs'),
    'verbs[0]: "connect" is a verb that no request for a path has: its verb is the HTTP method (did you mean "*"?)',
  ],
  [
    'a group in a resource',
    of([''], 'deployments.apps'),
    'resources[0].resources[0]: "deployments.apps" contains an API group, which no resource does (use deployments, with apiGroups: ["apps"])',
  ],
  [
    'a group and version in a resource',
    of(['*'], 'deployments.v1.apps/scale'),
    'resources[0].resources[0]: "deployments.v1.apps/scale" contains an API group, which no resource does (use deployments/scale, with apiGroups: ["apps"])',
  ],
  [
    'a kind',
    of(['apps'], 'Deployment'),
    'resources[0].resources[0]: "Deployment" is not a resource (resources are lower-case plurals: deployments)',
  ],
  [
    'the short name svc',
    of([''], 'svc'),
    'resources[0].resources[0]: "svc" is a short name of kubectl, which matches no request (did you mean services?)',
  ],
  [
    'the short name po with a subresource',
    of([''], 'po/exec'),
    'resources[0].resources[0]: "po/exec" is a short name of kubectl, which matches no request (did you mean pods/exec?)',
  ],
  [
    'the short name cm',
    of([''], 'cm'),
    'resources[0].resources[0]: "cm" is a short name of kubectl, which matches no request (did you mean configmaps?)',
  ],
  [
    'the short name of another group',
    of([''], 'deploy'),
    'resources[0].resources[0]: "deploy" is a short name of kubectl, which matches no request (did you mean deployments, with apiGroups: ["apps"]?)',
  ],
  [
    'a singular',
    of([''], 'secret'),
    'resources[0].resources[0]: "secret" is a singular, which matches no request (did you mean secrets?)',
  ],
  [
    'the path of a resource',
    paths(['get'], '/api/v1/namespaces/a/pods/p/log'),
    'nonResourceURLs[0]: "/api/v1/namespaces/a/pods/p/log" is the path of a resource, which nonResourceURLs never match (use resources, with apiGroups: [""] and resources: ["pods/log"])',
  ],
  [
    'a prefix of paths of resources',
    paths(['get'], '/apis/apps/v1/deployments*'),
    'nonResourceURLs[0]: "/apis/apps/v1/deployments*" is the path of a resource, which nonResourceURLs never match (use resources, with apiGroups: ["apps"] and resources: ["deployments"])',
  ],
  [
    'a query in a path',
    paths(['get'], '/version?x=1'),
    'nonResourceURLs[0]: "/version?x=1" has a query, which rules do not see (use "/version")',
  ],
  [
    'a path with an empty segment',
    paths(['get'], '//version'),
    'nonResourceURLs[0]: "//version" matches no request: invalid request target: the path contains an empty segment ("//") (correct the path)',
  ],
  [
    'a path with a dot segment',
    paths(['get'], '/logs/../version'),
    'nonResourceURLs[0]: "/logs/../version" matches no request: ',
  ],
  [
    'a path with a blank at its end',
    paths(['get'], '/logs '),
    'nonResourceURLs[0]: "/logs " begins or ends with a blank, which no name does (use "/logs")',
  ],
  [
    'namespaces on a cluster-scoped kind',
    { ...good, resources: [{ apiGroups: [''], resources: ['nodes'], namespaces: ['a'] }] },
    'resources[0].namespaces: nodes is cluster-scoped, and no such request has a namespace (give it an entry of its own without namespaces)',
  ],
  [
    'namespaces on cluster-scoped kinds among others',
    {
      ...good,
      resources: [
        {
          apiGroups: ['rbac.authorization.k8s.io'],
          resources: ['roles', 'clusterroles', 'clusterrolebindings'],
          namespaces: ['team-*'],
        },
      ],
    },
    'resources[0].namespaces: clusterroles, clusterrolebindings are cluster-scoped',
  ],
  [
    'a user with a blank at the end',
    { ...good, subjects: { users: ['ada '] } },
    'subjects.users[0]: "ada " begins or ends with a blank, which no name does (use "ada")',
  ],
  [
    'a group with a blank at the end',
    { ...good, subjects: { groups: ['engineers\t'] } },
    'subjects.groups[0]: "engineers\\t" begins or ends with a blank',
  ],
  [
    'a user without a name',
    { ...good, subjects: { users: [''] } },
    'subjects.users[0]: "" is the name of nobody (remove it)',
  ],
  [
    'an object with a blank at the end',
    { ...good, resources: [{ apiGroups: [''], resources: ['pods'], resourceNames: ['web '] }] },
    'resources[0].resourceNames[0]: "web " begins or ends with a blank',
  ],
  [
    'an object with its namespace',
    {
      ...good,
      resources: [{ apiGroups: [''], resources: ['pods'], resourceNames: ['team-a/web'] }],
    },
    'resources[0].resourceNames[0]: "team-a/web" is not the name of an object (use the name alone, and namespaces for its namespace)',
  ],
  [
    'a namespace with a blank at the end',
    { ...good, resources: [{ apiGroups: [''], resources: ['pods'], namespaces: ['team-a '] }] },
    'resources[0].namespaces[0]: "team-a " begins or ends with a blank',
  ],
  [
    'a namespace in capitals',
    { ...good, resources: [{ apiGroups: [''], resources: ['pods'], namespaces: ['Team-*'] }] },
    'resources[0].namespaces[0]: "Team-*" is not the name of a namespace (use "team-*")',
  ],
  [
    'a namespace with a character that none has',
    { ...good, resources: [{ apiGroups: [''], resources: ['pods'], namespaces: ['team_a'] }] },
    'resources[0].namespaces[0]: "team_a" is not the name of a namespace',
  ],
  [
    'create of a named object',
    {
      ...good,
      verbs: ['create'],
      resources: [{ apiGroups: [''], resources: ['pods'], resourceNames: ['web'] }],
    },
    'resources[0].resourceNames: matches no request: create requests have no name in their path (omit resourceNames)',
  ],
  [
    'connect on pods themselves',
    { ...good, verbs: ['connect'], resources: core('pods') },
    'resources[0].resources[0]: no request for "pods" has the verb connect, only requests for its subresources (use pods/exec, pods/attach, pods/portforward and pods/proxy)',
  ],
  [
    'connect on a custom resource itself',
    {
      ...good,
      verbs: ['connect'],
      resources: [{ apiGroups: ['example.com'], resources: ['widgets'] }],
    },
    'resources[0].resources[0]: no request for "widgets" has the verb connect, only requests for its subresources (use "widgets/*")',
  ],
]

describe.for(BOTH)('in a rule with the effect %s', (effect) => {
  test.for(PROBLEMS)('%s is a problem', ([, rule, problem]) => {
    expect(problemsOf([{ ...rule, effect }])).toEqual([
      expect.stringContaining(`rules[0].${problem}`),
    ])
  })
})

test('an allow rule needs HTTP methods for its paths', () => {
  const rule = { ...good, verbs: ['list', 'watch'], nonResourceURLs: ['/logs'] }
  expect(problemsOf([rule])).toEqual([
    'rules[0].nonResourceURLs: matches no request: none of the verbs of the rule is an HTTP method (give the paths a rule of their own, with HTTP methods as verbs, such as get)',
  ])
})

test('only a deny rule for paths alone may omit the verbs', () => {
  const rule = { ...paths([], '/logs'), verbs: undefined }
  expect(problemsOf([{ ...rule, effect: 'deny' }])).toEqual([])
  const problem = [expect.stringContaining('rules[0].verbs: is required (')]
  expect(problemsOf([{ ...rule, effect: 'allow' }])).toEqual(problem)
  expect(problemsOf([{ ...rule, effect: 'deny', resources: core('pods') }])).toEqual(problem)
})

const WARNINGS: readonly (readonly [what: string, rule: object, warning: string])[] = [
  [
    'a short name in every group',
    of(['*'], 'svc'),
    'resources[0].resources[0]: "svc" is a short name of kubectl, which matches no request (did you mean services?)',
  ],
  [
    'a resource in another group',
    of([''], 'deployments'),
    'resources[0].resources[0]: "deployments" is not a resource of the API group "", so it matches no request (use apiGroups: ["apps"])',
  ],
  [
    'a resource in a group that it has left',
    of(['extensions'], 'ingresses'),
    'resources[0].resources[0]: "ingresses" is not a resource of the API group "extensions", so it matches no request (use apiGroups: ["networking.k8s.io"])',
  ],
  [
    'roles in a part of their group’s name',
    of(['authorization.k8s.io'], 'roles'),
    'resources[0].resources[0]: "roles" is not a resource of the API group "authorization.k8s.io", so it matches no request (use apiGroups: ["rbac.authorization.k8s.io"])',
  ],
  [
    'a resource of two other groups',
    of(['apps', 'batch'], 'events'),
    'resources[0].resources[0]: "events" is not a resource of the API groups "apps", "batch", so it matches no request (use apiGroups: ["", "events.k8s.io"])',
  ],
  [
    'an unknown resource of a closed group',
    of([''], 'secretss'),
    'resources[0].resources[0]: Kubernetes 1.36 has no resource "secretss" in the API group "" (did you mean secrets?)',
  ],
  [
    'an unknown subresource',
    of([''], 'pods/logs'),
    'resources[0].resources[0]: Kubernetes 1.36 does not serve "pods/logs" in the API group "" (did you mean pods/log?)',
  ],
  [
    'a subresource with other verbs',
    { ...of([''], 'pods/eviction'), verbs: ['delete'] },
    'resources[0].resources[0]: no request for "pods/eviction" has one of the verbs of the rule (use the verbs create)',
  ],
  [
    'a review with other verbs',
    { ...of(['authorization.k8s.io'], 'subjectaccessreviews'), verbs: ['update'] },
    'resources[0].resources[0]: no request for "subjectaccessreviews" has one of the verbs of the rule (use the verbs create)',
  ],
  [
    'a group by its first word',
    of(['rbac'], 'roles'),
    'resources[0].apiGroups[0]: Kubernetes 1.36 has no API group "rbac" (did you mean "rbac.authorization.k8s.io"?)',
  ],
  [
    'a misspelled group',
    of(['networking.k8s.oi'], 'networkpolicies'),
    'resources[0].apiGroups[0]: Kubernetes 1.36 has no API group "networking.k8s.oi" (did you mean "networking.k8s.io"?)',
  ],
  [
    'a group without a domain',
    of(['widgets'], 'widgets'),
    'resources[0].apiGroups[0]: Kubernetes 1.36 has no API group "widgets" (use the group that kubectl api-resources shows before the slash)',
  ],
  [
    'what kubectl get all stands for',
    of([''], 'all'),
    'resources[0].resources[0]: "all" is a category of kubectl, which matches no request (use "*" for every resource)',
  ],
  [
    'impersonate in another group',
    { ...of(['authentication.k8s.io'], 'users'), verbs: ['impersonate'] },
    'resources[0].resources[0]: "users" is impersonated in the API group "", so it matches no request (use apiGroups: [""])',
  ],
  [
    'impersonate on extras without a key',
    { ...of(['authentication.k8s.io'], 'userextras'), verbs: ['impersonate'] },
    'resources[0].resources[0]: "userextras" matches no extra: an extra is a subresource (use "userextras/*")',
  ],
  [
    'every subresource',
    of(['*'], '*/*'),
    'resources[0].resources[0]: "*/*" is every subresource, and no resource itself (use "*" for everything, or add it)',
  ],
  [
    'everything below a version',
    paths(['*'], '/api/v1/*'),
    'nonResourceURLs[0]: "/api/v1/*" does not match what is below it, which are resources (use resources, with apiGroups: [""] and resources: ["*"])',
  ],
  [
    'an escape in a path',
    paths(['*'], '/logs/a%20b'),
    'nonResourceURLs[0]: "/logs/a%20b" has an escape, but rules see the decoded path (write it unescaped)',
  ],
]

describe.for(BOTH)('in a rule with the effect %s', (effect) => {
  test.for(WARNINGS)('%s is warned of', ([, rule, warning]) => {
    const warnings = warningsOf({ ...rule, effect })
    expect(warnings.map(({ field, message, fix }) => `${field}: ${message} (${fix})`)).toContain(
      `rules[0].${warning}`,
    )
  })
})

test.for([
  ['the resources of a cluster', of(['', 'apps'], 'pods', 'deployments')],
  ['resources of others with the name of one of Kubernetes', of(['metrics.k8s.io'], 'pods')],
  ['resources of others with a short name', of(['example.com'], 'svc')],
  ['scale of everything', of(['*'], '*/scale')],
  ['all with every subresource', of(['*'], '*', '*/*')],
  [
    'whom a user may impersonate',
    { ...good, verbs: ['impersonate'], resources: core('users', 'groups', 'serviceaccounts') },
  ],
  [
    'what a user may impersonate',
    {
      ...good,
      verbs: ['impersonate'],
      resources: [
        {
          apiGroups: ['authentication.k8s.io'],
          resources: ['uids', 'userextras/*', 'userextras/acme.com/reason'],
        },
      ],
    },
  ],
  ['impersonation of everything', { ...good, verbs: ['impersonate'], resources: core('*') }],
  ['discovery', paths(['get'], '/api', '/api/*', '/apis', '/apis/*', '/openapi/*', '/version/')],
  [
    'a namespace by its name',
    { ...good, resources: [{ apiGroups: [''], resources: ['namespaces'], namespaces: ['a'] }] },
  ],
  [
    'cluster-scoped kinds with the namespace ""',
    { ...good, resources: [{ apiGroups: [''], resources: ['nodes'], namespaces: ['', 'a'] }] },
  ],
  [
    'an eviction of a named pod',
    {
      ...good,
      verbs: ['create'],
      resources: [{ apiGroups: [''], resources: ['pods/eviction'], resourceNames: ['web'] }],
    },
  ],
] as const)('is not warned of: %s', ([, rule]) => {
  expect(warningsOf({ ...rule, effect: 'allow' })).toEqual([])
})

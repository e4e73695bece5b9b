/**
 * `kubectl --as`: the same callers ask kube-apiserver directly and through Gatehouse, with the same
 * headers, and get the same answers.
 */
import { readFile } from 'node:fs/promises'

import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { readKeyPair } from '../../certs-dev/files.ts'
import { loadAuthority, type Authority } from '../../certs-dev/pki.ts'
import { GATEHOUSE_USERNAME, startCluster, type Cluster } from '../support/cluster.ts'
import { startTestGatehouse } from '../support/gatehouse.ts'
import { overSPDY, succeed } from '../support/kubectl.ts'
import { withCertificate } from '../support/users.ts'

const AUTHENTICATION = 'authentication.k8s.io'
const NAMESPACE = 'team-a'
const EXTRA = 'Impersonate-Extra-Acme.com%2fReason'

type Headers = readonly string[]
type Rule = Readonly<Record<string, readonly string[]>>

const impersonate = (verb: string, group: string, resources: string[], names?: string[]): Rule => ({
  apiGroups: [group],
  resources,
  verbs: [verb],
  ...(names === undefined ? {} : { resourceNames: names }),
})

/** Callers by name, with what each may do; everybody may also read their own review. */
const CALLERS: Readonly<Record<string, readonly Rule[]>> = {
  nobody: [],
  boss: [
    impersonate('impersonate', '', ['users', 'groups', 'serviceaccounts']),
    impersonate('impersonate', AUTHENTICATION, [
      'uids',
      'userextras/acme.com/reason',
      'userextras/scopes',
    ]),
  ],
  narrow: [
    impersonate('impersonate', '', ['users'], ['ada']),
    impersonate('impersonate', '', ['groups'], ['engineers']),
  ],
  accounts: [impersonate('impersonate', '', ['serviceaccounts'], ['default'])],
  constrained: [
    impersonate('impersonate:user-info', AUTHENTICATION, ['users'], ['ada']),
    impersonate(
      'impersonate:user-info',
      AUTHENTICATION,
      ['groups'],
      ['engineers', 'a', 'b', 'c', 'system:masters'],
    ),
    impersonate('impersonate:user-info', AUTHENTICATION, ['uids', 'userextras/acme.com/reason']),
    { apiGroups: [''], resources: ['pods'], verbs: ['impersonate-on:user-info:list'] },
    {
      apiGroups: [AUTHENTICATION],
      resources: ['selfsubjectreviews'],
      verbs: ['impersonate-on:user-info:create'],
    },
    { nonResourceURLs: ['/version'], verbs: ['impersonate-on:user-info:get'] },
  ],
  everyone: [
    impersonate('impersonate:user-info', AUTHENTICATION, ['*']),
    { apiGroups: ['*'], resources: ['*'], verbs: ['impersonate-on:user-info:list'] },
  ],
  'account-of-one': [
    impersonate('impersonate:serviceaccount', AUTHENTICATION, ['serviceaccounts']),
    { apiGroups: ['*'], resources: ['*'], verbs: ['impersonate-on:serviceaccount:create'] },
    { apiGroups: [''], resources: ['pods'], verbs: ['impersonate-on:serviceaccount:list'] },
  ],
}

const as = (user: string, ...others: string[]): Headers => ['Impersonate-User', user, ...others]
const groups = (...names: string[]): string[] =>
  names.flatMap((name) => ['Impersonate-Group', name])

const TARGETS: readonly Headers[] = [
  as('ada'),
  as('grace'),
  as('ada', ...groups('engineers')),
  as('ada', ...groups('operators')),
  as('ada', ...groups('engineers', 'a', 'b', 'c')),
  as('grace', ...groups('a', 'b', 'c', 'd', 'e')),
  as('ada', ...groups('system:authenticated')),
  as('ada', ...groups('system:unauthenticated')),
  as('ada', 'Impersonate-Uid', '7'),
  as('ada', EXTRA, 'lunch'),
  as('ada', EXTRA, 'a', EXTRA, 'b', EXTRA, 'c', EXTRA, 'd'),
  as('ada', 'Impersonate-Extra-Scopes', 'view'),
  as('ada', 'Impersonate-Extra-%zz', 'view'),
  as('ada', ...groups('engineers'), 'Impersonate-Uid', '7', EXTRA, 'lunch'),
  as('system:serviceaccount:team-a:default'),
  as('system:serviceaccount:team-a:other'),
  as('system:serviceaccount:team-b:default'),
  as('system:serviceaccount:team-a:default', ...groups('engineers')),
  as('system:serviceaccount:team-a:default', 'Impersonate-Uid', '7'),
  as('system:anonymous'),
  as('system:anonymous', ...groups('engineers')),
  as(''),
  groups('engineers'),
  ['Impersonate-Uid', '7'],
  [EXTRA, 'lunch'],
  [...as(''), ...groups('engineers')],
  as('Zoë Müller'.normalize('NFC')),
]

const REVIEW = JSON.stringify({ apiVersion: `${AUTHENTICATION}/v1`, kind: 'SelfSubjectReview' })
const REQUESTS = [
  ['POST', `/apis/${AUTHENTICATION}/v1/selfsubjectreviews`],
  ['GET', `/api/v1/namespaces/${NAMESPACE}/pods`],
  ['GET', `/api/v1/pods?labelSelector=app%3Dweb&fieldSelector=metadata.name%3Dx`],
  ['DELETE', `/api/v1/namespaces/${NAMESPACE}/configmaps/none`],
  ['GET', '/version'],
] as const

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

/** Header values are sent as the bytes of UTF-8. */
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

async function ask(
  url: string,
  agent: Agent,
  [method, path]: readonly ['POST' | 'GET' | 'DELETE', string],
  headers: Headers,
): Promise<Answer> {
  const response = await request(url + path, {
    dispatcher: agent,
    method,
    headers: [
      ...['accept', 'application/json', 'content-type', 'application/json'],
      ...headers.map(bytes),
    ],
    ...(method === 'POST' ? { body: REVIEW } : {}),
  })
  return {
    status: response.statusCode,
    body: (await response.body.json()) as Record<string, unknown>,
  }
}

/** What both must agree on: the user that results, or the refusal with its words. */
function essence({ status, body }: Answer): unknown {
  const { userInfo: review } = (body['status'] ?? {}) as { userInfo?: { extra?: object } }
  if (review === undefined) {
    // kube-apiserver prints a Go struct where Gatehouse says what is missing.
    const hasSameWords = status > 400
    return { status, reason: body['reason'], message: hasSameWords ? body['message'] : '' }
  }
  const extra = Object.entries(review.extra ?? {}).filter(
    ([key]) => key !== 'gatehouse/original-user' && !key.endsWith('/credential-id'),
  )
  return { status, userInfo: { ...review, extra: Object.fromEntries(extra) } }
}

interface Side {
  readonly url: string
  readonly agentOf: (caller: string) => Agent
}

/** All cases, one after the other: kube-apiserver remembers which mode worked last for a caller. */
async function compare(
  direct: Side,
  through: Side,
): Promise<{ count: number; differences: unknown[] }> {
  const differences: unknown[] = []
  let count = 0
  for (const caller of Object.keys(CALLERS)) {
    const agents = [direct.agentOf(caller), through.agentOf(caller)] as const
    for (const headers of TARGETS) {
      for (const one of REQUESTS) {
        const [expected, actual] = await Promise.all([
          ask(direct.url, agents[0], one, headers),
          ask(through.url, agents[1], one, headers),
        ])
        count += 1
        const [a, b] = [essence(expected), essence(actual)]
        if (JSON.stringify(a) !== JSON.stringify(b)) {
          differences.push({ caller, headers, request: one, kube: a, gatehouse: b })
        }
      }
    }
    await Promise.all(agents.map((agent) => agent.destroy()))
  }
  return { count, differences }
}

/** The rules of deploy/kubernetes for impersonation through Gatehouse, and every extra. */
const GATEHOUSE: readonly Rule[] = [
  impersonate('impersonate', '', ['serviceaccounts']),
  impersonate('impersonate', AUTHENTICATION, ['*']),
  { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
]

async function startPlace(pod: boolean, apiServerArguments: string[] = []) {
  const cluster = await startCluster({ pod, apiServerArguments })
  await grant(cluster, 'gatehouse-as', GATEHOUSE, {
    kind: 'ServiceAccount',
    name: 'gatehouse',
    namespace: 'gatehouse',
  })
  await grantTargets(cluster)
  for (const [name, rules] of Object.entries(CALLERS)) {
    if (rules.length > 0) await grant(cluster, `caller-${name}`, rules, { kind: 'User', name })
  }
  const gatehouse = await startTestGatehouse({
    upstream: { kubeconfig: cluster.gatehouseKubeconfig },
    configuration: { impersonation: { enabled: true } },
  })
  const authority = await loadAuthority(await readKeyPair(cluster.controlPlane.clientCA))
  const ca = await readFile(cluster.controlPlane.caFile, 'utf8')
  const direct = await side(cluster.controlPlane.url, ca, authority)
  const through = await side(gatehouse.url, gatehouse.ca, gatehouse.clientAuthority)
  return { cluster, gatehouse, direct, through }
}

async function side(url: string, ca: string, authority: Authority): Promise<Side> {
  const agents = new Map<string, Agent>()
  for (const caller of Object.keys(CALLERS)) {
    const pair = await authority.issue({ commonName: caller, usages: ['client'] })
    agents.set(caller, new Agent({ connect: { ca, cert: pair.certificatePem, key: pair.keyPem } }))
  }
  return { url, agentOf: (caller) => agents.get(caller) ?? new Agent() }
}

/** What the other users may do. */
async function grantTargets(cluster: Cluster): Promise<void> {
  const read: Rule = { apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }
  await grant(cluster, 'readers', [read], { kind: 'Group', name: 'readers' })
  const exec: Rule = { apiGroups: [''], resources: ['pods', 'pods/exec'], verbs: ['get', 'create'] }
  const account = { kind: 'ServiceAccount', name: 'default', namespace: NAMESPACE }
  await grant(cluster, 'account', [exec], account)
}

async function grant(
  { admin }: Pick<Cluster, 'admin'>,
  name: string,
  rules: readonly Rule[],
  subject: Readonly<Record<string, string>>,
): Promise<void> {
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const group =
    subject['kind'] !== 'ServiceAccount' ? { apiGroup: 'rbac.authorization.k8s.io' } : {}
  const objects = [
    { apiVersion, kind: 'ClusterRole', metadata: { name }, rules },
    {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ ...group, ...subject }],
    },
  ]
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
  await succeed(admin, ['apply', '-f', '-'], { input: list })
}

describe.skipIf(!inject('hasParts'))('an impersonating request', () => {
  let place: Awaited<ReturnType<typeof startPlace>>

  beforeAll(async () => {
    place = await startPlace(true)
  })

  afterAll(async () => {
    await place.gatehouse.close()
    await place.cluster.stop()
  })

  test('gets the same answer as from kube-apiserver', async () => {
    const { count, differences } = await compare(place.direct, place.through)
    expect(differences).toEqual([])
    expect(count).toBeGreaterThan(900)
  })

  test('names both users in the audit events of Gatehouse and of the API server', async () => {
    const { cluster, gatehouse } = place
    const boss = await withCertificate(cluster.controlPlane, gatehouse, { commonName: 'boss' })
    const args = ['get', 'configmaps', '--as=ada', '--as-group=readers', '--as-uid=7']
    const got = await boss.kubectl([...args, '-n', NAMESPACE])
    expect(got).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('kube-root-ca') as string,
    })
    const [own] = await gatehouse.eventsWhere(
      ({ user, objectRef, responseStatus }) =>
        user.username === 'boss' &&
        objectRef?.['resource'] === 'configmaps' &&
        responseStatus?.code === 200,
    )
    const target = {
      username: 'ada',
      uid: '7',
      groups: ['readers', 'system:authenticated'],
      extra: { 'gatehouse/original-user': ['boss'] },
    }
    expect(own).toMatchObject({ user: { username: 'boss' }, impersonatedUser: target })
    const upstream = await cluster.eventOf(own?.auditID ?? '')
    expect(upstream).toMatchObject({
      user: { username: GATEHOUSE_USERNAME },
      impersonatedUser: target,
      responseStatus: { code: 200 },
    })
  })

  test('runs a command in a pod as the other user, over both protocols', async () => {
    const { cluster, gatehouse } = place
    const boss = await withCertificate(cluster.controlPlane, gatehouse, { commonName: 'boss' })
    const account = `system:serviceaccount:${NAMESPACE}:default`
    const args = ['exec', 'web', `--as=${account}`, '--', 'sh', '-c', 'echo done; exit 3']
    for (const env of [{}, overSPDY]) {
      expect(await boss.kubectl(args, { env })).toMatchObject({ code: 3, stdout: 'done\n' })
      const refused = await boss.kubectl(['exec', 'web', '--as=grace', '--', 'true'], { env })
      expect(refused.stderr).toContain('User "grace" cannot')
    }
  })

  test('never runs with the rights of Gatehouse', async () => {
    const reviews = /^\/apis\/(?:authorization|authentication)\.k8s\.io\/v1\/\w+reviews$/
    const events = await place.cluster.eventsOfGatehouseItself()
    expect(events.filter(({ requestURI }) => !reviews.test(requestURI))).toEqual([])
  })
})

describe.skipIf(!inject('hasParts'))(
  'behind an API server without constrained impersonation',
  () => {
    let place: Awaited<ReturnType<typeof startPlace>>

    beforeAll(async () => {
      place = await startPlace(false, ['--feature-gates=ConstrainedImpersonation=false'])
    })

    afterAll(async () => {
      await place.gatehouse.close()
      await place.cluster.stop()
    })

    test('an impersonating request gets the same answer as from kube-apiserver', async () => {
      const { count, differences } = await compare(place.direct, place.through)
      expect(differences).toEqual([])
      expect(count).toBeGreaterThan(900)
    })
  },
)

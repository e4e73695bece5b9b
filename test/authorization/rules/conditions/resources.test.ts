import { expect, test } from 'vitest'

import { allowAll, asking, core, decisionsOn } from '../fixtures.ts'

test.for([
  {
    name: 'pods does not include pods/log',
    rule: { verbs: ['get'], resources: core('pods') },
    yes: ['GET /api/v1/namespaces/a/pods/p'],
    no: ['GET /api/v1/namespaces/a/pods/p/log', 'GET /apis/x.io/v1/namespaces/a/pods/p'],
  },
  {
    name: 'pods/log does not include pods',
    rule: { verbs: ['get'], resources: core('pods/log') },
    yes: ['GET /api/v1/namespaces/a/pods/p/log'],
    no: ['GET /api/v1/namespaces/a/pods/p'],
  },
  {
    name: '"pods/*" matches subresources only',
    rule: { verbs: ['get'], resources: core('pods/*') },
    yes: ['GET /api/v1/namespaces/a/pods/p/log', 'GET /api/v1/namespaces/a/pods/p/status'],
    no: ['GET /api/v1/namespaces/a/pods/p', 'GET /api/v1/namespaces/a/podsets/p/x'],
  },
  {
    name: '"*/scale" matches scale of any resource',
    rule: { verbs: ['get'], resources: [{ apiGroups: ['*'], resources: ['*/scale'] }] },
    yes: ['GET /apis/apps/v1/namespaces/a/deployments/d/scale'],
    no: ['GET /apis/apps/v1/namespaces/a/deployments/d'],
  },
  {
    name: 'a prefix matches one namespace at a time',
    rule: {
      verbs: ['list'],
      resources: [{ apiGroups: [''], resources: ['pods'], namespaces: ['team-*'] }],
    },
    yes: ['GET /api/v1/namespaces/team-a/pods'],
    no: ['GET /api/v1/namespaces/kube-system/pods', 'GET /api/v1/pods'],
  },
  {
    name: '"" matches requests without a namespace',
    rule: {
      verbs: ['list'],
      resources: [{ apiGroups: [''], resources: ['*'], namespaces: [''] }],
    },
    yes: ['GET /api/v1/pods', 'GET /api/v1/nodes'],
    no: ['GET /api/v1/namespaces/a/pods'],
  },
  {
    name: 'resourceNames match the requested name',
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
])('$name', ({ rule, yes, no }) => {
  expect(decisionsOn(yes, rule)).toEqual(yes.map((request) => [request, 'allow']))
  expect(decisionsOn(no, rule)).toEqual(no.map((request) => [request, 'noOpinion']))
})

test.for(['web', 'web:80', 'https:web:443', ':web:http'])(
  'a deny of the proxy of one service matches the name in any form: %s',
  (segment) => {
    const [entry] = core('services/proxy')
    const deny = (name: string) =>
      asking([
        allowAll,
        {
          name: 'no',
          effect: 'deny',
          verbs: ['*'],
          resources: [{ ...entry, resourceNames: [name] }],
        },
      ])(`GET /api/v1/namespaces/a/services/${segment}/proxy/`).decision
    expect(deny('web')).toBe('deny')
    expect(deny('we*')).toBe('deny')
    expect(deny('other')).toBe('allow')
  },
)

test('an allow of the proxy of one service names it as requests do', () => {
  const [entry] = core('services/proxy')
  const rule = { verbs: ['connect'], resources: [{ ...entry, resourceNames: ['web'] }] }
  const request = 'GET /api/v1/namespaces/a/services/web:80/proxy/'
  expect(decisionsOn([request], rule)).toEqual([[request, 'noOpinion']])
})

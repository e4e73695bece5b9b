import { describe, expect, test } from 'vitest'

import { allowAll, asking, core, decisionsOn, EVERYTHING } from '../fixtures.ts'

test('list does not include watch', () => {
  const rule = { verbs: ['list'], resources: core('pods') }
  const yes = ['GET /api/v1/pods', 'GET /api/v1/pods?watch=false']
  const no = ['GET /api/v1/pods?watch=true', 'GET /api/v1/watch/pods', 'GET /api/v1/pods?watch=']
  expect(decisionsOn(yes, rule)).toEqual(yes.map((request) => [request, 'allow']))
  expect(decisionsOn(no, rule)).toEqual(no.map((request) => [request, 'noOpinion']))
})

describe('the verb connect', () => {
  const requests = [
    'GET /api/v1/namespaces/a/pods/p/exec?command=sh',
    'POST /api/v1/namespaces/a/pods/p/exec?command=sh',
    'GET /api/v1/namespaces/a/pods/p/attach',
    'POST /api/v1/namespaces/a/pods/p/portforward',
    'OPTIONS /api/v1/namespaces/a/services/s:80/proxy/x',
    'DELETE /api/v1/nodes/n/proxy/run',
    'GET /api/v1/proxy/namespaces/a/services/s',
  ]

  test.for(requests)('is the only verb that allows %s', (request) => {
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

  test('does not match other requests', () => {
    const ask = asking([{ name: 'r', effect: 'allow', verbs: ['connect'], resources: EVERYTHING }])
    expect(ask('GET /api/v1/namespaces/a/pods/p/log').decision).toBe('noOpinion')
    expect(ask('GET /api/v1/namespaces/a/pods/proxy').decision).toBe('noOpinion')
  })

  test('a deny rule also matches by the verb of the method', () => {
    const ask = asking([
      allowAll,
      { name: 'no', effect: 'deny', verbs: ['get'], resources: core('*') },
    ])
    expect(ask('GET /api/v1/namespaces/a/pods/p/exec').decision).toBe('deny')
    expect(ask('POST /api/v1/namespaces/a/pods/p/exec').decision).toBe('allow')
  })
})

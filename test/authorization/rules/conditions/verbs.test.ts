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
      { name: 'no', effect: 'deny', verbs: ['delete'], resources: core('*') },
    ])
    expect(ask('DELETE /api/v1/nodes/n/proxy/run').decision).toBe('deny')
    expect(ask('POST /api/v1/nodes/n/proxy/run').decision).toBe('allow')
  })

  const DENIALS = ['get', 'create', 'connect', '*'].flatMap((verb) =>
    requests.map((request) => [verb, request] as const),
  )
  test.for(DENIALS)('a deny of %s denies %s', ([verb, request]) => {
    const deny = { name: 'no', effect: 'deny', verbs: [verb], resources: EVERYTHING }
    expect(asking([allowAll, deny])(request)).toMatchObject({ decision: 'deny', rule: 'no' })
  })
})

test.for([['*'], ['pods/*'], ['*/exec', '*/attach', '*/portforward']])(
  'a deny of all writes on %j denies exec, attach and portforward over WebSocket and SPDY',
  (resources) => {
    const verbs = ['create', 'update', 'patch', 'delete', 'deletecollection']
    const ask = asking([
      allowAll,
      { name: 'no', effect: 'deny', verbs, resources: core(...resources) },
    ])
    for (const subresource of ['exec', 'attach', 'portforward']) {
      for (const method of ['GET', 'POST']) {
        const request = `${method} /api/v1/namespaces/a/pods/p/${subresource}`
        expect([request, ask(request).decision]).toEqual([request, 'deny'])
      }
    }
  },
)

describe('a deny rule for paths', () => {
  const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
  const all = { name: 'all', effect: 'allow', verbs: ['*'], nonResourceURLs: ['*'] }
  const deniedMethods = (rule: object): string[] => {
    const ask = asking([
      all,
      { name: 'no', effect: 'deny', nonResourceURLs: ['/metrics'], ...rule },
    ])
    return METHODS.filter((method) => ask(`${method} /metrics`).decision === 'deny')
  }

  test('denies every method if it has no verbs', () => {
    expect(deniedMethods({})).toEqual(METHODS)
  })

  test('denies every method if none of its verbs is a method', () => {
    expect(deniedMethods({ verbs: ['list', 'watch'], resources: EVERYTHING })).toEqual(METHODS)
  })

  test('denies HEAD by get', () => {
    expect(deniedMethods({ verbs: ['get'] })).toEqual(['GET', 'HEAD'])
  })

  test('denies POST and PUT by the verbs of resources, too', () => {
    const verbs = ['create', 'update', 'patch', 'delete']
    expect(deniedMethods({ verbs, resources: EVERYTHING })).toEqual([
      'POST',
      'PUT',
      'PATCH',
      'DELETE',
    ])
  })

  test('denies only the method that it names', () => {
    expect(deniedMethods({ verbs: ['delete'] })).toEqual(['DELETE'])
  })
})

test('an allow rule for paths allows only the methods that it names', () => {
  const ask = asking([{ name: 'r', effect: 'allow', verbs: ['get'], nonResourceURLs: ['*'] }])
  expect(ask('GET /version').decision).toBe('allow')
  expect(ask('HEAD /version').decision).toBe('noOpinion')
})

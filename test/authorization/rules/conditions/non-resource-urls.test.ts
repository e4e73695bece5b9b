import { expect, test } from 'vitest'

import { asking, decisionsOn } from '../fixtures.ts'

test('paths match exactly or by prefix', () => {
  const rule = { verbs: ['get'], nonResourceURLs: ['/version', '/healthz/*'] }
  const yes = ['GET /version', 'GET /healthz/etcd']
  const no = ['GET /healthz', 'GET /versions', 'GET /version/', 'GET /api/v1/pods', 'POST /version']
  expect(decisionsOn(yes, rule)).toEqual(yes.map((request) => [request, 'allow']))
  expect(decisionsOn(no, rule)).toEqual(no.map((request) => [request, 'noOpinion']))
})

test('a deny rule also matches the path with a trailing slash', () => {
  const ask = asking([
    { name: 'all', effect: 'allow', verbs: ['*'], nonResourceURLs: ['*'] },
    { name: 'no', effect: 'deny', verbs: ['*'], nonResourceURLs: ['/logs'] },
  ])
  expect(ask('GET /logs').decision).toBe('deny')
  expect(ask('GET /logs/').decision).toBe('deny')
  expect(ask('GET /logs/x').decision).toBe('allow')
})

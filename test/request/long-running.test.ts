import { describe, expect, test } from 'vitest'
import {
  isConnect,
  isLongRunning,
  isUpgradable,
  requestClass,
} from '../../src/request/long-running.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { RequestClass, RequestInfo } from '../../src/request/types.ts'

function resolve(line: string): RequestInfo {
  const [method = '', raw = ''] = line.split(' ')
  return resolveRequestInfo(method, parseTarget(method, raw))
}

const pod = '/api/v1/namespaces/a/pods/web'

describe('a long-running request', () => {
  test.for([
    'GET /api/v1/pods?watch=1',
    'GET /api/v1/watch/pods',
    'POST /api/v1/proxy/nodes/n1',
    `GET ${pod}/log`,
    `GET ${pod}/exec`,
    `POST ${pod}/attach`,
    `POST ${pod}/portforward`,
    'OPTIONS /api/v1/namespaces/a/services/web/proxy/',
    'GET /apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/vm/portforward',
    'GET /debug/pprof/profile?seconds=600',
    'GET /debug/pprof/',
  ])('is %s', (line) => {
    expect(isLongRunning(resolve(line))).toBe(true)
  })

  test.for([
    'GET /api/v1/pods',
    'GET /api/v1/pods?watch=0',
    `GET ${pod}?watch=1`,
    `PUT ${pod}/status`,
    'GET /api/v1/namespaces/a/pods/log',
    'GET /debug/pprof',
    'GET /debug/flags',
    'GET /exec',
    'GET /watch/proxy',
  ])('is not %s', (line) => {
    expect(isLongRunning(resolve(line))).toBe(false)
  })
})

describe('a connection to a process in the cluster', () => {
  const places = [
    `${pod}/exec`,
    `${pod}/attach`,
    `${pod}/portforward`,
    `${pod}/proxy`,
    `${pod}/proxy/a/b?watch=1`,
    '/api/v1/pods/web/exec',
    '/api/v1/watch/namespaces/a/pods/web/exec',
    '/api/v1/namespaces/a/services/https:web:443/proxy/',
    '/api/v1/nodes/n1/proxy/run/a/web/c',
    '/api/v2/nodes/n1/proxy',
    '/api/v1/proxy/namespaces/a/services/web',
    '/apis/apps/v1/proxy/deployments/web',
  ]
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

  test.for(places)('is %s, by every method', (place) => {
    const results = methods.map((method) => isConnect(resolve(`${method} ${place}`)))
    expect(results).toEqual(methods.map(() => true))
  })

  test.for([
    `GET ${pod}`,
    `GET ${pod}/log`,
    `PUT ${pod}/status`,
    `PATCH ${pod}/ephemeralcontainers`,
    `POST ${pod}/eviction`,
    'GET /api/v1/namespaces/a/pods/exec',
    'GET /api/v1/namespaces/proxy/pods/proxy',
    'GET /api/v1/namespaces/a/services/proxy',
    'GET /api/v1/namespaces/a/services/web/exec',
    'GET /api/v1/nodes/n1/exec',
    'GET /api/v1/nodes/proxy/status/proxy',
    'GET /api/v1/watch/pods',
    'GET /apis/metrics.k8s.io/v1beta1/namespaces/a/pods/web/exec',
    'GET /pods/web/exec',
    'GET /proxy/exec',
  ])('is not %s', (line) => {
    expect(isConnect(resolve(line))).toBe(false)
  })
})

describe('the class for the limits', () => {
  test.for<[string, RequestClass]>([
    [`GET ${pod}`, 'read'],
    [`HEAD ${pod}`, 'read'],
    ['GET /healthz', 'read'],
    ['HEAD /healthz', 'read'],
    ['GET /api/v1/pods', 'list'],
    ['GET /api/v1/pods?fieldSelector=metadata.name%3Dweb', 'list'],
    ['POST /api/v1/namespaces/a/pods', 'write'],
    [`PUT ${pod}`, 'write'],
    [`PATCH ${pod}`, 'write'],
    [`DELETE ${pod}`, 'write'],
    ['DELETE /api/v1/namespaces/a/pods', 'write'],
    [`OPTIONS ${pod}`, 'write'],
    ['PUT /debug/flags/v', 'write'],
    ['DELETE /metrics', 'write'],
    ['GET /api/v1/pods?watch=1', 'stream'],
    ['GET /api/v1/watch/pods', 'stream'],
    [`GET ${pod}/log?follow=true`, 'stream'],
    // Without `follow` as well, since it does not have a deadline either.
    [`GET ${pod}/log`, 'stream'],
    [`POST ${pod}/exec`, 'stream'],
    ['GET /api/v1/namespaces/a/services/web/proxy/', 'stream'],
    ['GET /debug/pprof/profile', 'stream'],
  ])('of %s is %s', ([line, expected]) => {
    expect(requestClass(resolve(line))).toBe(expected)
  })
})

describe('an upgrade', () => {
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
  const upgradable = (place: string, protocol: 'websocket' | 'SPDY/3.1'): string[] =>
    methods.filter((method) => isUpgradable(resolve(`${method} ${place}`), method, protocol))

  test.for([
    `${pod}/exec`,
    `${pod}/attach`,
    `${pod}/portforward`,
    `${pod}/proxy/a`,
    '/api/v1/namespaces/a/services/https:web:443/proxy/',
    '/api/v1/nodes/n1/proxy/exec/a/web/c',
  ])('to a connection can be a WebSocket GET, or SPDY by GET and POST: %s', (place) => {
    expect(upgradable(place, 'websocket')).toEqual(['GET'])
    expect(upgradable(place, 'SPDY/3.1')).toEqual(['GET', 'POST'])
  })

  test.for([
    '/api/v1/pods?watch=1',
    '/api/v1/watch/pods',
    '/apis/apps/v1/namespaces/a/deployments?watch=true&fieldSelector=metadata.name%3Dweb',
    `${pod}/log?follow=true`,
    `${pod}/log`,
    '/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/vm/portforward',
  ])('of a long-running request can be a WebSocket GET: %s', (place) => {
    expect(upgradable(place, 'websocket')).toEqual(['GET'])
    expect(upgradable(place, 'SPDY/3.1')).toEqual([])
  })

  test.for([
    pod,
    `${pod}/status`,
    `${pod}/eviction`,
    `${pod}?watch=1`,
    '/api/v1/namespaces/a/secrets/s',
    '/api/v1/namespaces/a/secrets',
    '/api/v1/namespaces/a/secrets?watch=0',
    '/api/v1/namespaces/a/pods/exec',
    '/apis/apps/v1/namespaces/a/deployments/web/scale',
    '/healthz',
    '/debug/pprof/profile',
    '/logs/',
  ])('is not possible for other requests: %s', (place) => {
    expect(upgradable(place, 'websocket')).toEqual([])
    expect(upgradable(place, 'SPDY/3.1')).toEqual([])
  })

  test('counts as a stream wherever it is possible', () => {
    const places = [`${pod}/exec`, `${pod}/log`, '/api/v1/pods?watch=1', '/api/v1/nodes/n/proxy']
    const classes = places.map((place) => requestClass(resolve(`GET ${place}`)))
    expect(classes).toEqual(places.map(() => 'stream'))
  })
})

import { describe, expect, test } from 'vitest'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { RequestInfo, Target } from '../../src/request/types.ts'
import { refusal } from './refusal.ts'

const none: RequestInfo = {
  isResourceRequest: false,
  path: '',
  verb: '',
  apiPrefix: '',
  apiGroup: '',
  apiVersion: '',
  namespace: '',
  resource: '',
  subresource: '',
  name: '',
  parts: [],
  fieldSelector: '',
  labelSelector: '',
}

function resolve(line: string): RequestInfo {
  const [method = '', raw = ''] = line.split(' ')
  return resolveRequestInfo(method, parseTarget(method, raw))
}

const summarized = [
  'verb',
  'apiGroup',
  'apiVersion',
  'namespace',
  'resource',
  'subresource',
  'name',
] as const

/** The strings that say what is asked for, without those that are empty. */
function summary(line: string): Partial<RequestInfo> {
  const info = resolve(line)
  return Object.fromEntries(
    summarized.map((key) => [key, info[key]] as const).filter(([, value]) => value !== ''),
  )
}

describe('a non-resource request', () => {
  test.for([
    { line: 'GET /', verb: 'get', path: '/' },
    { line: 'HEAD /healthz', verb: 'head', path: '/healthz' },
    { line: 'OPTIONS /healthz', verb: 'options', path: '/healthz' },
    { line: 'PUT /debug/flags/v', verb: 'put', path: '/debug/flags/v' },
    { line: 'DELETE /metrics', verb: 'delete', path: '/metrics' },
    { line: 'GET /version/', verb: 'get', path: '/version/' },
    { line: 'GET /api', verb: 'get', path: '/api' },
    { line: 'GET /api/v1/', verb: 'get', path: '/api/v1/' },
    { line: 'GET /apis/apps', verb: 'get', path: '/apis/apps' },
    { line: 'GET /API/v1/pods', verb: 'get', path: '/API/v1/pods' },
    { line: 'GET /apiserver/v1/pods', verb: 'get', path: '/apiserver/v1/pods' },
    { line: 'GET /healthz/api/v1/pods', verb: 'get', path: '/healthz/api/v1/pods' },
    { line: 'GET /a%20b?watch=1', verb: 'get', path: '/a b' },
  ])('$line has the verb $verb and the decoded path', ({ line, verb, path }) => {
    expect(resolve(line)).toEqual({ ...none, verb, path })
  })

  test('for a group and version has the prefix apis, as in Go', () => {
    expect(resolve('GET /apis/apps/v1')).toEqual({
      ...none,
      verb: 'get',
      path: '/apis/apps/v1',
      apiPrefix: 'apis',
    })
  })
})

describe('a resource request', () => {
  test('is resolved completely', () => {
    expect(resolve('PUT /apis/apps/v1/namespaces/team-a/deployments/web/scale/a/b/')).toEqual({
      isResourceRequest: true,
      path: '/apis/apps/v1/namespaces/team-a/deployments/web/scale/a/b/',
      verb: 'update',
      apiPrefix: 'apis',
      apiGroup: 'apps',
      apiVersion: 'v1',
      namespace: 'team-a',
      resource: 'deployments',
      subresource: 'scale',
      name: 'web',
      parts: ['deployments', 'web', 'scale', 'a', 'b'],
      fieldSelector: '',
      labelSelector: '',
    })
  })

  test.for([
    ['GET', 'get'],
    ['HEAD', 'get'],
    ['POST', 'create'],
    ['PUT', 'update'],
    ['PATCH', 'patch'],
    ['DELETE', 'delete'],
    ['OPTIONS', ''],
  ] as const)('by %s with a name has the verb %j', ([method, verb]) => {
    expect(resolve(`${method} /api/v1/namespaces/a/pods/web`)).toMatchObject({
      isResourceRequest: true,
      verb,
    })
  })

  test.for([
    ['GET', 'list'],
    ['HEAD', 'list'],
    ['POST', 'create'],
    ['PUT', 'update'],
    ['PATCH', 'patch'],
    ['DELETE', 'deletecollection'],
    ['OPTIONS', ''],
  ] as const)('by %s without a name has the verb %j', ([method, verb]) => {
    expect(resolve(`${method} /api/v1/namespaces/a/pods/`).verb).toBe(verb)
  })

  test.for<[string, Partial<RequestInfo>]>([
    // Namespaces and their contents.
    ['GET /api/v1/namespaces', { verb: 'list', apiVersion: 'v1', resource: 'namespaces' }],
    [
      'GET /api/v1/namespaces/a',
      { verb: 'get', apiVersion: 'v1', resource: 'namespaces', namespace: 'a', name: 'a' },
    ],
    [
      'PUT /api/v1/namespaces/a/finalize',
      {
        verb: 'update',
        apiVersion: 'v1',
        resource: 'namespaces',
        namespace: 'a',
        name: 'a',
        subresource: 'finalize',
      },
    ],
    [
      'GET /apis/x/v1/namespaces/a/status',
      {
        verb: 'get',
        apiGroup: 'x',
        apiVersion: 'v1',
        resource: 'namespaces',
        namespace: 'a',
        name: 'a',
        subresource: 'status',
      },
    ],
    [
      'GET /api/v1/namespaces/a/statuses',
      { verb: 'list', apiVersion: 'v1', resource: 'statuses', namespace: 'a' },
    ],
    [
      'GET /api/v1/namespaces/namespaces/namespaces/namespaces',
      {
        verb: 'get',
        apiVersion: 'v1',
        resource: 'namespaces',
        namespace: 'namespaces',
        name: 'namespaces',
      },
    ],
    // Any word can be a name.
    [
      'GET /api/v1/namespaces/proxy/pods/watch',
      { verb: 'get', apiVersion: 'v1', resource: 'pods', namespace: 'proxy', name: 'watch' },
    ],
    // Legacy prefixes, for any method.
    ['GET /api/v1/watch/pods', { verb: 'watch', apiVersion: 'v1', resource: 'pods' }],
    [
      'DELETE /api/v1/watch/namespaces/a/pods/web',
      { verb: 'watch', apiVersion: 'v1', resource: 'pods', namespace: 'a', name: 'web' },
    ],
    [
      'GET /api/v1/watch/namespaces/a/pods/web/log',
      {
        verb: 'watch',
        apiVersion: 'v1',
        resource: 'pods',
        namespace: 'a',
        name: 'web',
        subresource: 'log',
      },
    ],
    [
      'POST /api/v1/proxy/namespaces/a/services/web:80/exec',
      { verb: 'proxy', apiVersion: 'v1', resource: 'services', namespace: 'a', name: 'web:80' },
    ],
    [
      'GET /api/v1/proxy/nodes/n1/run',
      { verb: 'proxy', apiVersion: 'v1', resource: 'nodes', name: 'n1' },
    ],
    [
      'GET /apis/apps/v1/watch/watch/proxy',
      { verb: 'watch', apiGroup: 'apps', apiVersion: 'v1', resource: 'watch', name: 'proxy' },
    ],
  ])('%s has the RequestInfo of kube-apiserver', ([line, expected]) => {
    expect(summary(line)).toEqual(expected)
  })

  test.for(['/api/v1/proxy', '/api/v1/watch/', '/apis/apps/v1/proxy', '/apis/apps/v1/watch'])(
    '%s is refused with 400, since it does not name a resource',
    (raw) => {
      const { code, message } = refusal(() => resolve(`GET ${raw}`))
      expect(code).toBe(400)
      expect(message).toContain('names no resource')
    },
  )
})

describe('the query of a GET without a name', () => {
  test.for([
    ['', 'list'],
    ['?', 'list'],
    ['?watch=true', 'watch'],
    ['?watch=1', 'watch'],
    ['?watch', 'watch'],
    ['?watch=', 'watch'],
    ['?watch=no', 'watch'],
    ['?watch=f', 'watch'],
    ['?watch=00', 'watch'],
    ['?watch=false%0A', 'watch'],
    ['?w%61tch=1', 'watch'],
    ['?watch=0', 'list'],
    ['?watch=false', 'list'],
    ['?watch=FALSE', 'list'],
    ['?watch=f%61lse', 'list'],
    ['?watch=fal%C5%BFe', 'list'],
    ['?watch=false&watch=true', 'list'],
    ['?watch=true&watch=false', 'watch'],
    ['?Watch=true', 'list'],
    ['?watch+=true', 'list'],
    ['?&&watch=true', 'watch'],
    // A query that cannot be decoded makes a list, unless it has watch.
    ['?limit=x', 'list'],
    ['?limit=x&watch=1', 'watch'],
    ['?limit=x&watch=False', 'list'],
    ['?limit=x&watch=fal%C5%BFe', 'watch'],
  ] as const)('%j makes the verb %s', ([query, verb]) => {
    expect(resolve(`GET /api/v1/pods${query}`).verb).toBe(verb)
    expect(resolve(`GET /api/v1/pods/web${query}`).verb).toBe('get')
  })

  test.for([
    ['metadata.name=web', 'web'],
    ['metadata.name==web', 'web'],
    ['metadata.name=b,metadata.name=a', 'a'],
    ['metadata.name==a,metadata.name=b', 'a'],
    ['metadata.name=a,metadata.name==b', 'b'],
    ['metadata.namespace=a,metadata.name=web,', 'web'],
    ['metadata.name=a\\,b', 'a,b'],
    ['metadata.name=web&watch=1', 'web'],
    ['metadata.name=web&limit=9223372036854775807', 'web'],
    ['metadata.name=web&labelSelector=a in (b,c)', 'web'],
    // No term requires a name.
    ['metadata.name=,metadata.name=a', ''],
    ['metadata.name!=web', ''],
    ['Metadata.name=web', ''],
    // These are not legal path segments.
    ['metadata.name=.', ''],
    ['metadata.name=..', ''],
    ['metadata.name=a/b', ''],
    ['metadata.name=a%', ''],
    // These queries cannot be decoded.
    ['metadata.name=web,nonsense', ''],
    ['metadata.name=a=b', ''],
    ['metadata.name=web\\', ''],
    ['metadata.name=web&limit=', ''],
    ['metadata.name=web&limit=9223372036854775808', ''],
    ['metadata.name=web&timeoutSeconds=5s', ''],
    ['metadata.name=web&labelSelector=a in b', ''],
  ] as const)('with fieldSelector=%s gives the name %j', ([options, name]) => {
    const [selector = '', ...rest] = options.split('&')
    const query = [`fieldSelector=${encodeURIComponent(selector)}`, ...rest].join('&')
    expect(resolve(`GET /api/v1/pods?${query.replaceAll(' ', '+')}`).name).toBe(name)
  })
})

describe('the selectors', () => {
  const query = '?fieldSelector=metadata.name!%3Da&labelSelector=b+in+(c)&fieldSelector=d'

  test.for(['GET /api/v1/pods', 'GET /api/v1/pods/', 'DELETE /api/v1/namespaces/a/pods'])(
    'of %s are the first values, unparsed',
    (line) => {
      expect(resolve(line + query)).toMatchObject({
        fieldSelector: 'metadata.name!=a',
        labelSelector: 'b in (c)',
      })
    },
  )

  test('are kept even if they cannot be parsed', () => {
    expect(
      resolve('GET /api/v1/pods?fieldSelector=nonsense&labelSelector=%3D&watch'),
    ).toMatchObject({
      verb: 'watch',
      fieldSelector: 'nonsense',
      labelSelector: '=',
    })
  })

  test.for([
    'GET /api/v1/pods/web',
    'POST /api/v1/pods',
    'DELETE /api/v1/pods/web',
    'OPTIONS /api/v1/pods',
    'GET /api/v1/watch/pods',
    'GET /api/v1/proxy/pods',
    'GET /healthz',
  ])('of %s are empty', (line) => {
    expect(resolve(line + query)).toMatchObject({ fieldSelector: '', labelSelector: '' })
  })
})

/** Targets that `parseTarget` refuses, and kube-apiserver's surprising reading of them. */
describe('a target that parseTarget refuses', () => {
  test.for<[method: string, path: string, rawQuery: string, expected: Partial<RequestInfo>]>([
    ['GET', '///api/v1/pods', '', { verb: 'list', resource: 'pods' }],
    ['GET', '/api//v1/pods', '', { verb: 'get', apiVersion: '', resource: 'v1', name: 'pods' }],
    ['GET', '/api/v1/namespaces//pods', '', { verb: 'list', resource: 'pods', namespace: '' }],
    [
      'GET',
      '/api/v1/namespaces/../secrets',
      '',
      { verb: 'list', resource: 'secrets', namespace: '..' },
    ],
    [
      'GET',
      '/api/v1/nodes//proxy/x',
      'fieldSelector=metadata.name=n1',
      { verb: 'list', resource: 'nodes', subresource: 'proxy', name: 'n1' },
    ],
    ['get', '/api/v1/pods', 'watch=1', { isResourceRequest: true, verb: '', resource: 'pods' }],
    ['GET', '/', '', { isResourceRequest: false }],
    ['GET', '', '', { isResourceRequest: false }],
  ])('%s %s?%s would be read as kube-apiserver reads it', ([method, path, rawQuery, expected]) => {
    const target: Target = { raw: path, path, rawQuery }
    expect(resolveRequestInfo(method, target)).toMatchObject(expected)
  })
})

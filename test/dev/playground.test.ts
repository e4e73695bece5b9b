import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { connect } from 'node:tls'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  asGrace,
  playgroundUnderTest,
  type PlaygroundResponse,
  type PlaygroundUnderTest,
} from './playground-client.ts'

let playground: PlaygroundUnderTest
beforeAll(async () => {
  playground = await playgroundUnderTest()
})
afterAll(() => playground.close())

const configMaps = '/api/v1/namespaces/default/configmaps'
const pods = '/api/v1/namespaces/default/pods'
const tableAccept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'

function create(path: string, object: object, query = ''): Promise<PlaygroundResponse> {
  return playground.call(path + query, {
    method: 'POST',
    headers: [...asGrace, 'content-type', 'application/json'],
    body: JSON.stringify(object),
  })
}

function configMap(name: string, data: object = { a: '1' }): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }
}

describe('discovery', () => {
  test.for([
    { path: '/api', has: { versions: ['v1'] } },
    { path: '/apis', has: { kind: 'APIGroupList' } },
    { path: '/api/v1', has: { groupVersion: 'v1' } },
    { path: '/apis/authorization.k8s.io', has: { name: 'authorization.k8s.io' } },
    { path: '/apis/authentication.k8s.io/v1/', has: { kind: 'APIResourceList' } },
    { path: '/openapi/v3/api/v1', has: { openapi: '3.0.0' } },
  ])('$path is a document', async ({ path, has }) => {
    expect((await playground.call(path)).json()).toMatchObject(has)
  })

  test('every path of the OpenAPI index exists', async () => {
    const index = (await playground.call('/openapi/v3')).json() as {
      paths: Record<string, { serverRelativeURL: string }>
    }
    const codes = await Promise.all(
      Object.values(index.paths).map(
        async ({ serverRelativeURL }) => (await playground.call(serverRelativeURL)).code,
      ),
    )
    expect(codes).toEqual([200, 200, 200])
  })

  test.for(['/', '/apis/apps/v1', '/api/v1/widgets', '/api/v1/pods/web', '/api/v2', `${pods}/%zz`])(
    '%s does not exist',
    async (path) => {
      const response = await playground.call(path)
      expect([response.code, response.json()['reason']]).toEqual([404, 'NotFound'])
    },
  )
})

describe('objects', () => {
  test('are listed as objects or as a table, in one namespace or in all', async () => {
    const list = (await playground.call('/api/v1/pods')).json() as {
      kind: string
      items: { metadata: { namespace: string; name: string } }[]
    }
    expect(list.kind).toBe('PodList')
    const names = list.items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
    expect(names).toEqual(['default/web', 'default/worker', 'team-a/api'])
    const headers = [...asGrace, 'accept', tableAccept]
    const table = (await playground.call('/api/v1/namespaces/team-a/pods', { headers })).json()
    expect(table).toMatchObject({
      kind: 'Table',
      rows: [
        {
          cells: ['api', '1/1', 'Running', '0', '192.0.2.1', 'playground', expect.any(String)],
          object: { kind: 'PartialObjectMetadata', metadata: { name: 'api' } },
        },
      ],
    })
  })

  test.for([
    { query: 'labelSelector=app%3Dweb', names: ['web'] },
    { query: 'labelSelector=app!%3Dweb', names: ['worker'] },
    { query: 'labelSelector=app+in+(web,worker),!other', names: ['web', 'worker'] },
    { query: 'labelSelector=app+notin+(web)', names: ['worker'] },
    { query: 'fieldSelector=metadata.name%3Dworker', names: ['worker'] },
    { query: 'fieldSelector=status.phase!%3DRunning', names: [] },
  ])('are selected by $query', async ({ query, names }) => {
    const list = (await playground.call(`${pods}?${query}`)).json() as {
      items: { metadata: { name: string } }[]
    }
    expect(list.items.map(({ metadata }) => metadata.name)).toEqual(names)
  })

  test('are created, replaced and deleted', async () => {
    const created = await create(configMaps, configMap('life'))
    expect(created.code).toBe(201)
    const object = created.json() as { metadata: object }
    expect(object.metadata).toMatchObject({ name: 'life', namespace: 'default' })
    expect((await create(configMaps, configMap('life'))).json()['reason']).toBe('AlreadyExists')
    const put = (body: object): Promise<PlaygroundResponse> =>
      playground.call(`${configMaps}/life`, { method: 'PUT', body: JSON.stringify(body) })
    expect((await put({ ...object, data: { b: '2' } })).json()['data']).toEqual({ b: '2' })
    expect((await put(object)).json()['reason']).toBe('Conflict')
    expect(
      (await playground.call(`${configMaps}/life`, { method: 'DELETE' })).json(),
    ).toMatchObject({ status: 'Success', details: { name: 'life', kind: 'configmaps' } })
    expect((await playground.call(`${configMaps}/life`)).json()['message']).toBe(
      'configmaps "life" not found',
    )
  })

  test('are not changed by a dry run', async () => {
    expect((await create(configMaps, configMap('dry'), '?dryRun=All')).code).toBe(201)
    expect((await playground.call(`${configMaps}/dry`)).code).toBe(404)
  })

  test('are deleted with their namespace', async () => {
    await create('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'short' },
    })
    const inside = '/api/v1/namespaces/short/configmaps'
    expect((await create(inside, configMap('a'))).code).toBe(201)
    await playground.call('/api/v1/namespaces/short', { method: 'DELETE' })
    expect((await playground.call(`${inside}/a`)).code).toBe(404)
    expect((await create(inside, configMap('a'))).json()['message']).toBe(
      'namespaces "short" not found',
    )
  })

  test.for([
    { name: 'of another kind', object: { apiVersion: 'v1', kind: 'Pod' }, reason: 'BadRequest' },
    {
      name: 'of another namespace',
      object: { ...configMap('x'), metadata: { name: 'x', namespace: 'team-a' } },
      reason: 'BadRequest',
    },
    { name: 'with an invalid name', object: configMap('No!'), reason: 'Invalid' },
    {
      name: 'with labels that are not strings',
      object: { ...configMap('x'), metadata: { name: 'x', labels: { a: 1 } } },
      reason: 'Invalid',
    },
  ])('$name are refused', async ({ object, reason }) => {
    expect((await create(configMaps, object)).json()['reason']).toBe(reason)
  })

  test('that are too large are refused', async () => {
    const response = await create(configMaps, configMap('big', { a: 'x'.repeat(3 * 1024 * 1024) }))
    expect(response.code).toBe(413)
  })

  test('are decoded from the protobuf that kubectl create sends', async () => {
    // kubectl 1.32: create configmap from-protobuf --from-literal=k=v
    const field = (number: number, bytes: Buffer): Buffer =>
      Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
    const text = (number: number, value: string): Buffer => field(number, Buffer.from(value))
    const metadata = field(1, Buffer.concat([text(1, 'from-protobuf'), text(3, ''), text(5, '')]))
    const data = field(2, Buffer.concat([text(1, 'k'), text(2, 'v')]))
    const typeMeta = field(1, Buffer.concat([text(1, 'v1'), text(2, 'ConfigMap')]))
    const raw = field(2, Buffer.concat([metadata, data]))
    const body = Buffer.concat([Buffer.from('k8s\0'), typeMeta, raw, text(3, ''), text(4, '')])
    const headers = [...asGrace, 'content-type', 'application/vnd.kubernetes.protobuf']
    const send = (bytes: Buffer): Promise<PlaygroundResponse> =>
      playground.call(configMaps, { method: 'POST', headers, body: bytes })
    const created = await send(body)
    expect([created.code, created.json()['data']]).toEqual([201, { k: 'v' }])
    expect((await send(body.subarray(0, -8))).json()['reason']).toBe('BadRequest')
    expect((await send(Buffer.from('k8s'))).json()['reason']).toBe('BadRequest')
  })
})

describe('patches', () => {
  const patch = (path: string, type: string, body: unknown): Promise<PlaygroundResponse> =>
    playground.call(path, {
      method: 'PATCH',
      headers: [...asGrace, 'content-type', type],
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })

  test.for([
    {
      type: 'application/merge-patch+json',
      body: { data: { a: null, c: '3' } },
      data: { b: '2', c: '3' },
    },
    {
      type: 'application/json-patch+json',
      body: [
        { op: 'test', path: '/data/a', value: '1' },
        { op: 'add', path: '/data/x~1y', value: '4' },
        { op: 'replace', path: '/data/b', value: '5' },
        { op: 'move', from: '/data/a', path: '/data/z' },
        { op: 'copy', from: '/data/z', path: '/data/y' },
        { op: 'remove', path: '/data/z' },
      ],
      data: { b: '5', 'x/y': '4', y: '1' },
    },
    {
      type: 'application/strategic-merge-patch+json',
      body: { data: { $patch: 'replace', d: '6' } },
      data: { d: '6' },
    },
    {
      type: 'application/apply-patch+yaml',
      body: 'apiVersion: v1\nkind: ConfigMap\ndata:\n  e: "7"\n',
      data: { a: '1', b: '2', e: '7' },
    },
  ])('of type $type change an object', async ({ type, body, data }) => {
    const path = `${configMaps}/patched`
    await playground.call(path, { method: 'DELETE' })
    await create(configMaps, configMap('patched', { a: '1', b: '2' }))
    expect((await patch(path, type, body)).json()['data']).toEqual(data)
  })

  test.for([
    { type: 'application/json-patch+json', body: [{ op: 'remove', path: '/no/way' }], code: 422 },
    { type: 'application/json-patch+json', body: { op: 'remove' }, code: 400 },
    { type: 'application/merge-patch+json', body: '{', code: 400 },
    { type: 'text/plain', body: '{}', code: 415 },
  ])('of type $type are refused with the body $body', async ({ type, body, code }) => {
    expect((await patch(`${configMaps}/welcome`, type, body)).code).toBe(code)
  })

  test('merge lists of containers by name', async () => {
    const containers = [
      { name: 'a', image: 'a:1', env: [{ name: 'A', value: '1' }] },
      { name: 'b', image: 'b:1' },
    ]
    const metadata = { name: 'several' }
    await create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } })
    const patched = await patch(`${pods}/several`, 'application/strategic-merge-patch+json', {
      spec: {
        $setElementOrder: [],
        containers: [
          { name: 'a', env: [{ name: 'B', value: '2' }] },
          { name: 'b', $patch: 'delete' },
          { name: 'c', image: 'c:1' },
        ],
      },
    })
    expect(patched.json()['spec']).toMatchObject({
      containers: [
        {
          name: 'a',
          image: 'a:1',
          env: [
            { name: 'A', value: '1' },
            { name: 'B', value: '2' },
          ],
        },
        { name: 'c', image: 'c:1' },
      ],
    })
  })

  test('by server-side apply create an object that does not exist', async () => {
    const response = await patch(
      `${configMaps}/applied`,
      'application/apply-patch+yaml',
      'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: applied\ndata:\n  a: "1"\n',
    )
    expect([response.code, response.json()['data']]).toEqual([201, { a: '1' }])
  })
})

describe('streams', () => {
  /** Opens a stream; each call of the returned function returns its next line. */
  async function lines(path: string): Promise<() => Promise<string>> {
    const { statusCode, body } = await request(playground.url + path, {
      headers: asGrace,
      dispatcher: playground.gatehouse,
    })
    expect(statusCode).toBe(200)
    body.on('error', () => undefined)
    onTestFinished(() => void body.destroy())
    const reader = createInterface(body)[Symbol.asyncIterator]()
    return async () => {
      const { value } = await reader.next()
      return value ?? ''
    }
  }

  async function events(path: string): Promise<() => Promise<string>> {
    const next = await lines(path)
    return async () => {
      const { type, object } = JSON.parse(await next()) as {
        type: string
        object: { metadata?: { name?: string }; reason?: string }
      }
      return `${type} ${object.metadata?.name ?? object.reason ?? ''}`
    }
  }

  test('a watch sends the existing objects, then every change that its selector matches', async () => {
    const next = await events(`${configMaps}?watch=1&labelSelector=seen`)
    const labelled = (labels: object): object => ({
      ...configMap('watched'),
      metadata: { name: 'watched', labels },
    })
    const put = async (labels: object): Promise<void> => {
      await playground.call(`${configMaps}/watched`, {
        method: 'PUT',
        body: JSON.stringify(labelled(labels)),
      })
    }
    await create(configMaps, labelled({}))
    await put({ seen: 'yes' })
    expect(await next()).toBe('ADDED watched')
    await put({ seen: 'again' })
    expect(await next()).toBe('MODIFIED watched')
    await put({})
    expect(await next()).toBe('DELETED watched')
  })

  test('a watch from a resource version sends the changes after it', async () => {
    const before = (await playground.call(configMaps)).json() as {
      metadata: { resourceVersion: string }
    }
    await create(configMaps, configMap('later'))
    const { resourceVersion } = before.metadata
    const next = await events(`${configMaps}?watch=true&resourceVersion=${resourceVersion}`)
    expect(await next()).toBe('ADDED later')
  })

  test('the initial events of a watch end with a bookmark', async () => {
    const next = await events('/api/v1/nodes?watch=true&sendInitialEvents=true')
    expect(await next()).toBe('ADDED playground')
    expect(await next()).toBe('BOOKMARK ')
  })

  test('a watch ends after timeoutSeconds', async () => {
    const response = await playground.call('/api/v1/nodes?watch=true&timeoutSeconds=1')
    expect(response.text.trim().split('\n')).toHaveLength(1)
  })

  test('a log continues with follow, and ends without it', async () => {
    const next = await lines(`${pods}/web/log?follow=true&tailLines=0`)
    const first = /^tick (\d+)$/.exec(await next())
    expect(await next()).toBe(`tick ${Number(first?.[1]) + 1}`)
    const response = await playground.call(`${pods}/web/log?tailLines=1&timestamps=true`)
    expect(response.text).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z tick \d+\n$/)
  })

  test.for([
    { path: `${pods}/web/log?container=no`, code: 400 },
    { path: `${pods}/web/log?tailLines=x`, code: 400 },
    { path: `${pods}/nobody/log`, code: 404 },
  ])('$path is refused', async ({ path, code }) => {
    expect((await playground.call(path)).code).toBe(code)
  })
})

describe('subresources that need a container', () => {
  test.for([
    `${pods}/web/exec?command=ls`,
    `${pods}/web/attach`,
    `${pods}/web/portforward`,
    `${pods}/web/proxy/`,
    '/api/v1/namespaces/default/services/web:80/proxy/',
    '/api/v1/nodes/playground/proxy/pods',
  ])('%s is refused with the way to a real control plane', async (path) => {
    const response = await playground.call(path)
    expect([response.code, response.json()['message']]).toEqual([
      400,
      expect.stringContaining('npm start -- --cluster'),
    ])
  })

  test('an upgrade is refused the same way, without a switch of protocols', async () => {
    const { hostname, port } = new URL(playground.url)
    const socket = connect({
      host: hostname,
      port: Number(port),
      ...playground.credentials,
      ALPNProtocols: ['http/1.1'],
    })
    onTestFinished(() => void socket.destroy())
    const head = [
      `GET ${pods}/web/exec HTTP/1.1`,
      'Host: playground',
      'Impersonate-User: grace',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Version: 13',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    const [response] = (await once(socket, 'data')) as [Buffer]
    expect(response.toString()).toMatch(/^HTTP\/1.1 400 /)
  })
})

describe('reviews', () => {
  test('allow every user everything', async () => {
    const spec = { resourceAttributes: { verb: 'delete', resource: 'pods' } }
    const review = await create('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { spec })
    expect(review.json()).toMatchObject({ spec, status: { allowed: true } })
    const rules = await create('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {})
    expect(rules.json()).toMatchObject({ status: { resourceRules: [{ verbs: ['*'] }] } })
  })
})

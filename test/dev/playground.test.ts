import { once } from 'node:events'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  asGrace,
  CONFIG_MAPS,
  configMap,
  PODS,
  playgroundUnderTest,
  type PlaygroundResponse,
  type PlaygroundUnderTest,
} from './playground-client.ts'

let playground: PlaygroundUnderTest
beforeAll(async () => {
  playground = await playgroundUnderTest()
})
afterAll(() => playground.close())

const tableAccept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'

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

  test('every stored kind has a schema for kubectl explain, and a path that leads to it', async () => {
    for (const [path, kind] of [
      ['api/v1', 'Pod'],
      ['apis/apps/v1', 'Deployment'],
    ]) {
      const { paths, components } = (await playground.call(`/openapi/v3/${path}`)).json() as {
        paths: Record<string, { get?: Record<string, unknown> }>
        components: { schemas: Record<string, Record<string, unknown>> }
      }
      const GVK = 'x-kubernetes-group-version-kind'
      const found = Object.values(components.schemas).find((schema) =>
        JSON.stringify(schema[GVK]).includes(`"kind":"${kind}"`),
      )
      const gets = Object.values(paths).flatMap(({ get }) => (get === undefined ? [] : [get[GVK]]))
      expect([gets]).toContainEqual(expect.arrayContaining(found?.[GVK] as unknown[]))
    }
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
    expect(codes).toEqual([200, 200, 200, 200])
  })

  test.for([
    '/',
    '/apis/batch/v1',
    '/api/v1/widgets',
    '/api/v1/pods/web',
    '/api/v2',
    `${PODS}/%zz`,
  ])('%s does not exist', async (path) => {
    const response = await playground.call(path)
    expect([response.code, response.json()['reason']]).toEqual([404, 'NotFound'])
  })
})

describe('objects', () => {
  test('of the group apps are deployments', async () => {
    const path = '/apis/apps/v1/namespaces/default/deployments'
    expect((await playground.call(path)).json()).toMatchObject({
      kind: 'DeploymentList',
      apiVersion: 'apps/v1',
      items: [{ kind: 'Deployment', apiVersion: 'apps/v1', metadata: { name: 'web' } }],
    })
    const scaled = await playground.call(`${path}/web`, {
      method: 'PATCH',
      headers: [...asGrace, 'content-type', 'application/merge-patch+json'],
      body: JSON.stringify({ spec: { replicas: 3 } }),
    })
    expect(scaled.json()).toMatchObject({ spec: { replicas: 3 } })
    expect((await playground.call('/api/v1/namespaces/default/deployments')).code).toBe(404)
  })

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
    const list = (await playground.call(`${PODS}?${query}`)).json() as {
      items: { metadata: { name: string } }[]
    }
    expect(list.items.map(({ metadata }) => metadata.name)).toEqual(names)
  })

  test('are created, replaced and deleted', async () => {
    const created = await playground.create(CONFIG_MAPS, configMap('life'))
    expect(created.code).toBe(201)
    const object = created.json() as { metadata: object }
    expect(object.metadata).toMatchObject({ name: 'life', namespace: 'default' })
    expect((await playground.create(CONFIG_MAPS, configMap('life'))).json()['reason']).toBe(
      'AlreadyExists',
    )
    const put = (body: object): Promise<PlaygroundResponse> =>
      playground.call(`${CONFIG_MAPS}/life`, { method: 'PUT', body: JSON.stringify(body) })
    expect((await put({ ...object, data: { b: '2' } })).json()['data']).toEqual({ b: '2' })
    expect((await put(object)).json()['reason']).toBe('Conflict')
    expect(
      (await playground.call(`${CONFIG_MAPS}/life`, { method: 'DELETE' })).json(),
    ).toMatchObject({ status: 'Success', details: { name: 'life', kind: 'configmaps' } })
    expect((await playground.call(`${CONFIG_MAPS}/life`)).json()['message']).toBe(
      'configmaps "life" not found',
    )
  })

  test('are not changed by a dry run', async () => {
    expect((await playground.create(`${CONFIG_MAPS}?dryRun=All`, configMap('dry'))).code).toBe(201)
    expect((await playground.call(`${CONFIG_MAPS}/dry`)).code).toBe(404)
  })

  test('are deleted with their namespace', async () => {
    await playground.create('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'short' },
    })
    const inside = '/api/v1/namespaces/short/configmaps'
    expect((await playground.create(inside, configMap('a'))).code).toBe(201)
    await playground.call('/api/v1/namespaces/short', { method: 'DELETE' })
    expect((await playground.call(`${inside}/a`)).code).toBe(404)
    expect((await playground.create(inside, configMap('a'))).json()['message']).toBe(
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
    expect((await playground.create(CONFIG_MAPS, object)).json()['reason']).toBe(reason)
  })

  test('that are too large are refused', async () => {
    const response = await playground.create(
      CONFIG_MAPS,
      configMap('big', { a: 'x'.repeat(3 * 1024 * 1024) }),
    )
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
      playground.call(CONFIG_MAPS, { method: 'POST', headers, body: bytes })
    const created = await send(body)
    expect([created.code, created.json()['data']]).toEqual([201, { k: 'v' }])
    expect((await send(body.subarray(0, -8))).json()['reason']).toBe('BadRequest')
    expect((await send(Buffer.from('k8s'))).json()['reason']).toBe('BadRequest')
  })
})

describe('subresources that need a container', () => {
  test.for([
    `${PODS}/web/exec?command=ls`,
    `${PODS}/web/attach`,
    `${PODS}/web/portforward`,
    `${PODS}/web/proxy/`,
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
      `GET ${PODS}/web/exec HTTP/1.1`,
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
    const review = await playground.create(
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      { spec },
    )
    expect(review.json()).toMatchObject({ spec, status: { allowed: true } })
    const rules = await playground.create(
      '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
      {},
    )
    expect(rules.json()).toMatchObject({ status: { resourceRules: [{ verbs: ['*'] }] } })
  })
})

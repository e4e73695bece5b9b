import { afterAll, beforeAll, describe, expect, test } from 'vitest'
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
    const path = `${CONFIG_MAPS}/patched`
    await playground.call(path, { method: 'DELETE' })
    await playground.create(CONFIG_MAPS, configMap('patched', { a: '1', b: '2' }))
    expect((await patch(path, type, body)).json()['data']).toEqual(data)
  })

  test.for([
    { type: 'application/json-patch+json', body: [{ op: 'remove', path: '/no/way' }], code: 422 },
    { type: 'application/json-patch+json', body: { op: 'remove' }, code: 400 },
    { type: 'application/merge-patch+json', body: '{', code: 400 },
    { type: 'text/plain', body: '{}', code: 415 },
  ])('of type $type are refused with the body $body', async ({ type, body, code }) => {
    expect((await patch(`${CONFIG_MAPS}/welcome`, type, body)).code).toBe(code)
  })

  test('merge lists of containers by name', async () => {
    const containers = [
      { name: 'a', image: 'a:1', env: [{ name: 'A', value: '1' }] },
      { name: 'b', image: 'b:1' },
    ]
    const metadata = { name: 'several' }
    await playground.create(PODS, { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } })
    const patched = await patch(`${PODS}/several`, 'application/strategic-merge-patch+json', {
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
      `${CONFIG_MAPS}/applied`,
      'application/apply-patch+yaml',
      'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: applied\ndata:\n  a: "1"\n',
    )
    expect([response.code, response.json()['data']]).toEqual([201, { a: '1' }])
  })
})

import { createInterface } from 'node:readline'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  asGrace,
  CONFIG_MAPS,
  configMap,
  PODS,
  playgroundUnderTest,
  type PlaygroundUnderTest,
} from './playground-client.ts'

let playground: PlaygroundUnderTest
beforeAll(async () => {
  playground = await playgroundUnderTest()
})
afterAll(() => playground.close())

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
    const next = await events(`${CONFIG_MAPS}?watch=1&labelSelector=seen`)
    const labelled = (labels: object): object => ({
      ...configMap('watched'),
      metadata: { name: 'watched', labels },
    })
    const put = async (labels: object): Promise<void> => {
      await playground.call(`${CONFIG_MAPS}/watched`, {
        method: 'PUT',
        body: JSON.stringify(labelled(labels)),
      })
    }
    await playground.create(CONFIG_MAPS, labelled({}))
    await put({ seen: 'yes' })
    expect(await next()).toBe('ADDED watched')
    await put({ seen: 'again' })
    expect(await next()).toBe('MODIFIED watched')
    await put({})
    expect(await next()).toBe('DELETED watched')
  })

  test('a name with watch=true is the object, as at kube-apiserver', async () => {
    const response = await playground.call(`${CONFIG_MAPS}/welcome?watch=true`)
    expect(response.json()).toMatchObject({ kind: 'ConfigMap', metadata: { name: 'welcome' } })
  })

  test('a watch from a resource version sends the changes after it', async () => {
    const before = (await playground.call(CONFIG_MAPS)).json() as {
      metadata: { resourceVersion: string }
    }
    await playground.create(CONFIG_MAPS, configMap('later'))
    const { resourceVersion } = before.metadata
    const next = await events(`${CONFIG_MAPS}?watch=true&resourceVersion=${resourceVersion}`)
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
    const next = await lines(`${PODS}/web/log?follow=true&tailLines=0`)
    const first = /^tick (\d+)$/.exec(await next())
    expect(await next()).toBe(`tick ${Number(first?.[1]) + 1}`)
    const response = await playground.call(`${PODS}/web/log?tailLines=1&timestamps=true`)
    expect(response.text).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z tick \d+\n$/)
  })

  test.for([
    { path: `${PODS}/web/log?container=no`, code: 400 },
    { path: `${PODS}/web/log?tailLines=x`, code: 400 },
    { path: `${PODS}/nobody/log`, code: 404 },
  ])('$path is refused', async ({ path, code }) => {
    expect((await playground.call(path)).code).toBe(code)
  })
})

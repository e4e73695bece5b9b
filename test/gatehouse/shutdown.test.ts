import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

let api: ApiServer
let gatehouse: TestGatehouse

beforeEach(async () => {
  api = await startApiServer()
})

afterEach(async () => {
  await gatehouse.close()
  await api.close()
})

async function start(path: string): Promise<IncomingMessage> {
  const started = httpsRequest(gatehouse.url + path, {
    ca: gatehouse.ca,
    agent: false,
    headers: { authorization: `Bearer ${await gatehouse.token()}` },
  })
  started.end()
  const [response] = (await once(started, 'response')) as [IncomingMessage]
  return response
}

test('the end: not ready at once, requests finish, streams are ended, the audit log is whole', async () => {
  gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: { shutdown: { delay: '300ms', gracePeriod: '1s' } },
  })
  let finish: () => void = () => undefined
  api.handler = (request, response, { url }) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{"type":"ADDED"}\n')
    if (!url.includes('watch')) finish = () => response.end('the rest')
  }
  const short = await start('/api/v1/pods/slow')
  const watch = await start('/api/v1/pods?watch=true')
  let watched = ''
  watch.on('data', (chunk: Buffer) => (watched += chunk.toString()))
  let text = ''
  short.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await once(short, 'readable').catch(() => undefined)

  const closed = gatehouse.gatehouse.close()
  const readiness = await fetch(`${gatehouse.probesUrl}/readyz?verbose`)
  expect(readiness.status).toBe(503)
  expect(await readiness.text()).toContain('[-]shutdown failed: shutting down')
  const ended = [once(short, 'end'), once(watch, 'end')]
  finish()
  await Promise.all(ended)
  await closed
  expect(text).toBe('{"type":"ADDED"}\nthe rest')
  expect(watched).toBe('{"type":"ADDED"}\n')
  expect(watch.complete).toBe(true)

  const events = (await readFile(gatehouse.file('audit.log'), 'utf8')).trimEnd().split('\n')
  const stages = events.map((line) => {
    const { verb, stage } = JSON.parse(line) as { verb: string; stage: string }
    return `${verb} ${stage}`
  })
  expect(stages.toSorted()).toEqual([
    'get ResponseComplete',
    'watch ResponseComplete',
    'watch ResponseStarted',
  ])
})

test('nothing new is let in once the delay is over', async () => {
  gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
  await gatehouse.gatehouse.close()
  await expect(start('/api/v1/pods')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('a second call in a hurry does not wait for the grace', async () => {
  gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: { shutdown: { delay: '1h', gracePeriod: '1h' } },
  })
  const closed = gatehouse.gatehouse.close()
  await gatehouse.gatehouse.close(true)
  await closed
  await expect(start('/api/v1/pods')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

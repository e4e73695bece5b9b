import { afterAll, beforeAll, expect, test } from 'vitest'
import { Agent, request } from 'undici'

import { headerValues, startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

let api: ApiServer
let gatehouse: TestGatehouse

beforeAll(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
})

afterAll(async () => {
  await gatehouse.close()
  await api.close()
})

test('a token lets its user through, asserted by impersonation', async () => {
  const agent = new Agent({ connect: { ca: gatehouse.ca } })
  const answer = await request(`${gatehouse.url}/api/v1/pods?limit=5`, {
    dispatcher: agent,
    headers: { authorization: `Bearer ${await gatehouse.token({ groups: ['dev'] })}` },
  })
  expect(answer.statusCode).toBe(200)
  await answer.body.json()
  const received = api.received.at(-1)!
  expect(received.url).toBe('/api/v1/pods?limit=5')
  expect(headerValues(received, 'impersonate-user')).toEqual(['oidc:ada'])
  expect(headerValues(received, 'impersonate-group')).toEqual(['oidc:dev', 'system:authenticated'])
  expect(headerValues(received, 'authorization')).toEqual([])
  const id = String(answer.headers['audit-id'])
  expect(headerValues(received, 'audit-id')).toEqual([id])
  const [event] = await gatehouse.eventsWhere(({ auditID }) => auditID === id)
  expect(event).toMatchObject({ verb: 'list', user: { username: 'oidc:ada' } })
  await agent.close()
})

import { Agent, request, type Dispatcher } from 'undici'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'

import type { UserInfo } from '../../src/authentication/authenticator.ts'
import { GATEHOUSE_USERNAME, newNamespace } from '../support/cluster.ts'
import { overSPDY } from '../support/kubectl.ts'
import { startSite, type Site } from '../support/site.ts'
import { CREDENTIALS, withToken } from '../support/users.ts'

const NAMESPACE = newNamespace()
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The identity of users, as recorded in kube-apiserver's own audit log. */
describe.skipIf(!inject('hasParts'))('the API server', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite({ namespace: NAMESPACE, isAlone: true })
  })

  afterAll(() => site.stop())

  test('sees the user of a client certificate, under the Audit-ID of the response', async () => {
    const pair = await site.gatehouse.certificate({ organizations: ['engineers'], uid: '7' })
    const agent = newAgent({ cert: pair.certificatePem, key: pair.keyPem })
    const auditID = auditIDOf(await get(PODS, agent))
    const upstream = await site.cluster.eventOf(auditID)
    expect(upstream).toMatchObject({
      verb: 'list',
      requestURI: PODS,
      user: { username: GATEHOUSE_USERNAME },
      impersonatedUser: {
        username: 'ada',
        uid: '7',
        groups: ['engineers', 'system:authenticated'],
      },
      responseStatus: { code: 200 },
    })
    const credentialId = 'authentication.kubernetes.io/credential-id'
    expect(upstream.impersonatedUser?.extra?.[credentialId]?.[0]).toMatch(/^X509SHA256=/)
    const [own] = await site.gatehouse.eventsWhere((event) => event.auditID === auditID)
    expect(own).toMatchObject({
      verb: 'list',
      requestURI: PODS,
      user: upstream.impersonatedUser,
      responseStatus: { code: 200 },
    })
  })

  test('sees the user of a token, under the Audit-ID of the response', async () => {
    const auditID = auditIDOf(await get(PODS, newAgent(), await bearer()))
    const upstream = await site.cluster.eventOf(auditID)
    const ada = { username: 'oidc:ada', groups: ['oidc:engineers', 'system:authenticated'] }
    expect(upstream).toMatchObject({
      user: { username: GATEHOUSE_USERNAME },
      impersonatedUser: ada,
    })
    const [own] = await site.gatehouse.eventsWhere((event) => event.auditID === auditID)
    expect(own).toMatchObject({ user: ada })
  })

  test('sees all groups of a token of 30,000 characters, as kubectl sends it', async () => {
    const more = Array.from({ length: 599 }, (_, i) => `group-${i}`.padEnd(33, 'x'))
    const groups = ['engineers', ...more]
    expect((await site.gatehouse.token({ groups })).length).toBeGreaterThan(28_536)
    const user = await withToken(site.cluster.controlPlane, site.gatehouse, { groups })
    const whoami = await user.kubectl(['auth', 'whoami', '-o', 'json'])
    expect(whoami).toMatchObject({ code: 0, stderr: '' })
    const { status } = JSON.parse(whoami.stdout) as { status: { userInfo: UserInfo } }
    expect(status.userInfo.groups).toEqual(user.groups)
    const path = `${PODS}?watch=true&timeoutSeconds=1`
    expect(await user.kubectl(['get', '--raw', path])).toMatchObject({ code: 0, stderr: '' })
    for (const env of [{}, overSPDY]) {
      const exec = await user.kubectl(['exec', 'web', '--', 'echo', 'done'], { env })
      expect(exec).toEqual({ code: 0, stdout: 'done\n', stderr: '' })
    }
  })

  test('sees the client’s User-Agent, not the client’s Audit-ID', async () => {
    const headers = { ...(await bearer()), 'audit-id': 'mine', 'user-agent': 'kubectl/v9 (mine)' }
    const auditID = auditIDOf(await get(PODS, newAgent(), headers))
    expect(auditID).toMatch(UUID)
    expect(await site.cluster.eventOf(auditID)).toMatchObject({ userAgent: 'kubectl/v9 (mine)' })
  })

  test.for([
    { protocol: 'WebSocket', env: {} },
    { protocol: 'SPDY', env: overSPDY },
  ])('sees the user of an exec over $protocol', async ({ env }) => {
    for (const credential of CREDENTIALS) {
      const user = site.users[credential]
      const known = new Set((await site.gatehouse.events()).map(({ auditID }) => auditID))
      const run = await user.kubectl(['exec', 'web', '--', 'true'], { env })
      expect(run).toMatchObject({ code: 0, stderr: '' })
      const events = await site.gatehouse.eventsWhere(
        ({ auditID, objectRef }) => !known.has(auditID) && objectRef?.['subresource'] === 'exec',
        2,
      )
      expect(events.map(({ stage }) => stage)).toEqual(['ResponseStarted', 'ResponseComplete'])
      const { username, groups } = user
      expect(events).toMatchObject([{ user: { username, groups } }, { user: { username } }])
      expect(await site.cluster.eventOf(events[0]?.auditID ?? '')).toMatchObject({
        user: { username: GATEHOUSE_USERNAME },
        impersonatedUser: { username, groups },
        responseStatus: { code: 101 },
      })
    }
  })

  test('does not receive requests that Gatehouse refuses', async () => {
    const agent = newAgent()
    const headers = await bearer()
    const asEve = { ...headers, 'impersonate-user': 'eve' }
    const refusals = [
      await get(`${PODS}/web/proxy/`, agent, headers),
      await get(PODS, agent, asEve),
      await get(PODS, agent, { authorization: 'Bearer nonsense' }),
      await get(PODS, agent),
    ]
    expect(refusals.map(({ statusCode }) => statusCode)).toEqual([403, 403, 401, 401])
    // The next request has arrived, so the refused ones would have arrived before it.
    await site.cluster.eventOf(auditIDOf(await get(PODS, agent, headers)))
    const arrived = new Set((await site.cluster.events()).map(({ auditID }) => auditID))
    for (const refusal of refusals) {
      const auditID = auditIDOf(refusal)
      expect(arrived.has(auditID)).toBe(false)
      const [own] = await site.gatehouse.eventsWhere((event) => event.auditID === auditID)
      expect(own).toMatchObject({ responseStatus: { code: refusal.statusCode } })
    }
  })

  test('receives only requests that Gatehouse has recorded, and none for Gatehouse itself', async () => {
    const fromGatehouse = (await site.cluster.events()).filter(
      ({ user }) => user.username === GATEHOUSE_USERNAME,
    )
    const forUsers = fromGatehouse.filter(
      ({ impersonatedUser }) => impersonatedUser?.username !== 'gatehouse:readyz',
    )
    expect(forUsers.length).toBeGreaterThan(4)
    const recorded = new Set((await site.gatehouse.events()).map(({ auditID }) => auditID))
    expect(forUsers.filter(({ auditID }) => !recorded.has(auditID))).toEqual([])
    expect(await site.cluster.eventsOfGatehouseItself()).toEqual([])
  })

  test('rejects the readiness check that has no credential', async () => {
    const anonymous = (await site.cluster.events()).filter(
      ({ user, requestURI }) =>
        user.username === undefined && requestURI.endsWith('/selfsubjectreviews'),
    )
    const codes = new Set(anonymous.map(({ responseStatus }) => responseStatus?.code))
    expect(codes).toEqual(new Set([401]))
  })

  function newAgent(tls: { cert?: string; key?: string } = {}): Agent {
    const agent = new Agent({ connect: { ca: site.gatehouse.ca, ...tls } })
    onTestFinished(() => agent.close())
    return agent
  }

  async function bearer(): Promise<Record<string, string>> {
    return { authorization: `Bearer ${await site.gatehouse.token({ groups: ['engineers'] })}` }
  }

  async function get(
    path: string,
    dispatcher: Dispatcher,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Dispatcher.ResponseData> {
    const response = await request(`${site.gatehouse.url}${path}`, { dispatcher, headers })
    await response.body.dump()
    return response
  }
})

function auditIDOf({ headers }: Dispatcher.ResponseData): string {
  return String(headers['audit-id'])
}

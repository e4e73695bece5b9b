import { readFile } from 'node:fs/promises'

import { Agent, request, type Dispatcher } from 'undici'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'

import { loadAuthority, type KeyPair } from '../../certs-dev/pki.ts'
import type { CertificateFiles } from '../../dev/parts/pki.ts'
import { GATEHOUSE_USERNAME, type ApiServerEvent } from '../support/cluster.ts'
import { startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { overSPDY } from '../support/kubectl.ts'
import { startSite, type Site } from '../support/site.ts'
import { CREDENTIALS, SIGN_IN, withCertificate, withToken } from '../support/users.ts'

const patience = { timeout: 20_000, interval: 100 }
const PODS = '/api/v1/namespaces/team-a/pods'
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Who asked, as kube-apiserver's own audit log tells it. */
describe.skipIf(!inject('hasParts'))('the API server', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite()
  })

  afterAll(() => site.stop())

  describe('by impersonation', () => {
    test('knows who asked by client certificate, under the Audit-ID of the answer', async () => {
      const pair = await site.gatehouse.certificate({ organizations: ['engineers'], uid: '7' })
      const agent = newAgent({ cert: pair.certificatePem, key: pair.keyPem })
      const auditID = auditIDOf(await get(PODS, agent))
      const upstream = await eventOfApiServer(auditID)
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

    test('knows who asked by token, under the Audit-ID of the answer', async () => {
      const auditID = auditIDOf(await get(PODS, newAgent(), await bearer()))
      const upstream = await eventOfApiServer(auditID)
      const ada = { username: 'oidc:ada', groups: ['oidc:engineers', 'system:authenticated'] }
      expect(upstream).toMatchObject({
        user: { username: GATEHOUSE_USERNAME },
        impersonatedUser: ada,
      })
      const [own] = await site.gatehouse.eventsWhere((event) => event.auditID === auditID)
      expect(own).toMatchObject({ user: ada })
    })

    test('sees the client’s User-Agent, not the client’s Audit-ID', async () => {
      const headers = { ...(await bearer()), 'audit-id': 'mine', 'user-agent': 'kubectl/v9 (mine)' }
      const auditID = auditIDOf(await get(PODS, newAgent(), headers))
      expect(auditID).toMatch(UUID)
      expect(await eventOfApiServer(auditID)).toMatchObject({ userAgent: 'kubectl/v9 (mine)' })
    })

    test.for([
      { protocol: 'WebSocket', env: {} },
      { protocol: 'SPDY', env: overSPDY },
    ])('knows who executed over $protocol', async ({ env }) => {
      for (const credential of CREDENTIALS) {
        const user = site.users[credential]
        const known = new Set((await site.gatehouse.events()).map(({ auditID }) => auditID))
        await user.kubectl(['exec', 'web', '--', 'true'], { env })
        const events = await site.gatehouse.eventsWhere(
          ({ auditID, objectRef }) => !known.has(auditID) && objectRef?.['subresource'] === 'exec',
          2,
        )
        expect(events.map(({ stage }) => stage)).toEqual(['ResponseStarted', 'ResponseComplete'])
        const { username, groups } = user
        expect(events).toMatchObject([{ user: { username, groups } }, { user: { username } }])
        expect(await eventOfApiServer(events[0]?.auditID ?? '')).toMatchObject({
          user: { username: GATEHOUSE_USERNAME },
          impersonatedUser: { username, groups },
          responseStatus: { code: 101 },
        })
      }
    })

    test('is not asked what Gatehouse refuses', async () => {
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
      // The one that follows has arrived there: so would those before it.
      await eventOfApiServer(auditIDOf(await get(PODS, agent, headers)))
      const arrived = new Set((await site.cluster.events()).map(({ auditID }) => auditID))
      for (const refusal of refusals) {
        const auditID = auditIDOf(refusal)
        expect(arrived.has(auditID)).toBe(false)
        const [own] = await site.gatehouse.eventsWhere((event) => event.auditID === auditID)
        expect(own).toMatchObject({ responseStatus: { code: refusal.statusCode } })
      }
    })

    test('has nothing of Gatehouse that Gatehouse has not recorded, and nothing as itself', async () => {
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

    test('turns readiness away where it comes without a credential', async () => {
      const anonymous = (await site.cluster.events()).filter(
        ({ user, requestURI }) =>
          user.username === undefined && requestURI.endsWith('/selfsubjectreviews'),
      )
      const codes = new Set(anonymous.map(({ responseStatus }) => responseStatus?.code))
      expect(codes).toEqual(new Set([401]))
    })
  })

  describe('by requestheader', () => {
    let fronted: TestGatehouse

    beforeAll(async () => {
      const { url, caFile, frontProxyCA, frontProxyNames } = site.cluster.controlPlane
      const authority = await loadAuthority(await readPair(frontProxyCA))
      const commonName = frontProxyNames[0] ?? ''
      const client = await authority.issue({ commonName, usages: ['client'] })
      fronted = await startTestGatehouse({
        upstream: { url, ca: await readFile(caFile, 'utf8'), client },
        configuration: { upstream: { identity: { mode: 'requestheader' } } },
      })
    })

    afterAll(() => fronted.close())

    test.for(CREDENTIALS)('knows who asks by %s', async (credential) => {
      const user = await SIGN_IN[credential](site.cluster.controlPlane, fronted)
      const whoami = await user.kubectl(['auth', 'whoami', '-o', 'json'])
      const { status } = JSON.parse(whoami.stdout) as { status: { userInfo: object } }
      expect(status.userInfo).toMatchObject({ username: user.username, groups: user.groups })
      const run = await user.kubectl(['exec', '-i', 'web', '--', 'cat'], { input: 'in and out' })
      expect(run).toEqual({ code: 0, stdout: 'in and out', stderr: '' })
      const [exec] = await fronted.eventsWhere(
        ({ objectRef, user: { username } }) =>
          objectRef?.['subresource'] === 'exec' && username === user.username,
      )
      const upstream = await eventOfApiServer(exec?.auditID ?? '')
      expect(upstream.user).toMatchObject({ username: user.username, groups: user.groups })
      expect(upstream.impersonatedUser).toBeUndefined()
    })

    test('knows the UID and the extra of a certificate', async () => {
      const { controlPlane } = site.cluster
      const { kubectl } = await withCertificate(controlPlane, fronted, { uid: '7' })
      const whoami = await kubectl(['auth', 'whoami', '-o', 'json'])
      expect(JSON.parse(whoami.stdout)).toMatchObject({
        status: {
          userInfo: {
            uid: '7',
            extra: {
              'authentication.kubernetes.io/credential-id': [
                expect.stringMatching(/^X509SHA256=[0-9a-f]{64}$/),
              ],
            },
          },
        },
      })
    })
  })

  describe('with the RBAC of deploy/ and nothing more', () => {
    const AGENT = 'system:serviceaccount:team-a:default'

    test('refuses a service account, even where the configuration lets it through', async () => {
      const trusting = await startTestGatehouse({
        upstream: { kubeconfig: site.cluster.gatehouseKubeconfig },
        configuration: { authentication: { systemIdentities: { users: [AGENT] } } },
      })
      onTestFinished(() => trusting.close())
      const user = await withCertificate(site.cluster.controlPlane, trusting, {
        commonName: AGENT,
        organizations: [],
      })
      const got = await user.kubectl(['get', '--raw', PODS])
      expect(got.stderr).toBe(
        'Error from server (Forbidden): serviceaccounts "default" is forbidden: ' +
          `User "${GATEHOUSE_USERNAME}" cannot impersonate resource "serviceaccounts" in API ` +
          'group "" in the namespace "team-a"\n',
      )
    })

    test('and without it, refuses everything, which Gatehouse says in /readyz', async () => {
      const { admin } = site.cluster
      const { kubectl } = await withToken(site.cluster.controlPlane, site.gatehouse)
      const binding = 'clusterrolebinding/gatehouse-impersonator'
      const saved = await admin(['get', binding, '-o', 'json'])
      await admin(['delete', binding])
      const said = async (): Promise<string> => (await kubectl(['get', '--raw', PODS])).stderr
      await expect
        .poll(said, patience)
        .toContain(
          `users "oidc:ada" is forbidden: User "${GATEHOUSE_USERNAME}" cannot impersonate ` +
            'resource "users" in API group ""',
        )
      await expect.poll(readyz, patience).toContain('refused the asserted identity (status 403)')
      await admin(['create', '-f', '-'], { input: saved.stdout })
      await expect.poll(said, patience).toBe('')
      await expect.poll(readyz, patience).toBe('ok\n')
    })
  })

  test('ran nothing as Gatehouse itself', async () => {
    expect(await site.cluster.eventsOfGatehouseItself()).toEqual([])
  })

  async function readyz(): Promise<string> {
    return (await fetch(`${site.gatehouse.probesUrl}/readyz`)).text()
  }

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

  /** The final event; it is written a moment after the answer. */
  async function eventOfApiServer(auditID: string): Promise<ApiServerEvent> {
    const find = async (): Promise<ApiServerEvent | undefined> =>
      (await site.cluster.events()).find(
        (event) => event.auditID === auditID && event.stage === 'ResponseComplete',
      )
    await expect.poll(find, patience).toBeDefined()
    return (await find())!
  }
})

function auditIDOf({ headers }: Dispatcher.ResponseData): string {
  return String(headers['audit-id'])
}

async function readPair({ certFile, keyFile }: CertificateFiles): Promise<KeyPair> {
  const [certificatePem, keyPem] = await Promise.all([
    readFile(certFile, 'utf8'),
    readFile(keyFile, 'utf8'),
  ])
  return { certificatePem, keyPem }
}

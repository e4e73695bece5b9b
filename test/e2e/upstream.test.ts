import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { decodeJwt } from 'jose'
import { parse, stringify } from 'yaml'
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  inject,
  onTestFinished,
  test,
} from 'vitest'

import { readKeyPair } from '../../certs-dev/files.ts'
import { createAuthority, loadAuthority } from '../../certs-dev/pki.ts'
import { freePort } from '../../dev/parts/free-ports.ts'
import { GATEHOUSE_USERNAME, startCluster, type Cluster } from '../support/cluster.ts'
import { replaceFile } from '../support/files.ts'
import { kubeconfigOf, startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { base64 } from '../support/kubeconfig-user.ts'
import type { RunningProgram } from '../support/program.ts'
import { CREDENTIALS, SIGN_IN, withCertificate, withToken, type User } from '../support/users.ts'

const POLLING = { interval: 100 }
const VERSION = ['get', '--raw', '/version']
const AGENT = 'system:serviceaccount:team-a:default'

/** Gatehouse's connection to the API server: its credential, its rights, and failures. */
describe.skipIf(!inject('hasParts'))('the connection to the API server', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster()
  })

  afterAll(() => cluster.stop())

  describe('by requestheader', () => {
    let fronted: TestGatehouse

    beforeAll(async () => {
      const { url, caFile, frontProxyCA, frontProxyNames } = cluster.controlPlane
      const authority = await loadAuthority(await readKeyPair(frontProxyCA))
      const commonName = frontProxyNames[0] ?? ''
      const client = await authority.issue({ commonName, usages: ['client'] })
      fronted = await startTestGatehouse({
        upstream: { url, ca: await readFile(caFile, 'utf8'), client },
        configuration: { upstream: { identity: { mode: 'requestheader' } } },
      })
    })

    afterAll(() => fronted.close())

    test.for(CREDENTIALS)('carries the user who authenticates by %s', async (credential) => {
      const user = await SIGN_IN[credential](cluster.controlPlane, fronted)
      const whoami = await user.kubectl(['auth', 'whoami', '-o', 'json'])
      const { status } = JSON.parse(whoami.stdout) as { status: { userInfo: object } }
      expect(status.userInfo).toMatchObject({ username: user.username, groups: user.groups })
      const run = await user.kubectl(['exec', '-i', 'web', '--', 'cat'], { input: 'in and out' })
      expect(run).toEqual({ code: 0, stdout: 'in and out', stderr: '' })
      const [exec] = await fronted.eventsWhere(
        ({ objectRef, user: { username } }) =>
          objectRef?.['subresource'] === 'exec' && username === user.username,
      )
      const upstream = await cluster.eventOf(exec?.auditID ?? '')
      expect(upstream.user).toMatchObject({ username: user.username, groups: user.groups })
      expect(upstream.impersonatedUser).toBeUndefined()
    })

    test('forwards nothing with a certificate that the API server takes for a user of its own', async () => {
      const { controlPlane } = cluster
      const client = await certificateOfClusterCA()
      const ca = await readFile(controlPlane.caFile, 'utf8')
      const confused = await startTestGatehouse({
        upstream: { url: controlPlane.url, ca, client },
        configuration: { upstream: { identity: { mode: 'requestheader' } } },
        waitsForReadiness: false,
      })
      onTestFinished(() => confused.close())
      const { kubectl } = await withToken(controlPlane, confused)
      const refused = await kubectl(['auth', 'whoami'])
      expect(refused.code).toBe(1)
      expect(refused.stderr).toContain('Gatehouse cannot make sure that the API server takes')
      const readiness = await fetch(`${confused.probesUrl}/readyz`)
      expect(await readiness.text()).toContain('recognized the user "front-proxy-client"')
    })

    test('keeps the earlier certificate when a reload brings such a one', async () => {
      const user = await withToken(cluster.controlPlane, fronted)
      const file = fronted.file('upstream.kubeconfig')
      const text = await readFile(file, 'utf8')
      onTestFinished(() => replaceFile(file, text))
      const { url, caFile } = cluster.controlPlane
      const client = await certificateOfClusterCA()
      const ca = await readFile(caFile, 'utf8')
      await replaceFile(file, await kubeconfigOf({ url, ca, client }))
      fronted.gatehouse.reload()
      const failures = () => fronted.log.filter((line) => line.includes('reload failed')).join('')
      await expect.poll(failures, POLLING).toContain('the new credential was tried and is not used')
      const whoami = await user.kubectl(['auth', 'whoami', '-o', 'json'])
      expect(JSON.parse(whoami.stdout)).toMatchObject({
        status: { userInfo: { username: user.username } },
      })
    })

    async function certificateOfClusterCA() {
      const authority = await loadAuthority(await readKeyPair(cluster.controlPlane.clientCA))
      return authority.issue({ commonName: 'front-proxy-client', usages: ['client'] })
    }

    test('carries the UID and the extra of a certificate', async () => {
      const { controlPlane } = cluster
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

  describe('by impersonation', () => {
    let gatehouse: TestGatehouse
    let user: User
    let watch: RunningProgram
    let created = 0

    beforeEach(async () => {
      gatehouse = await startTestGatehouse({
        upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      })
      user = await withToken(cluster.controlPlane, gatehouse)
      watch = user.start(['get', 'configmaps', '--watch', '-o', 'name'])
      await watch.until(/kube-root-ca/)
      return () => gatehouse.close()
    })

    test('is refused for a service account, even if the configuration allows it', async () => {
      const trusting = await startTestGatehouse({
        upstream: { kubeconfig: cluster.gatehouseKubeconfig },
        configuration: { authentication: { systemIdentities: { users: [AGENT] } } },
      })
      onTestFinished(() => trusting.close())
      const user = await withCertificate(cluster.controlPlane, trusting, {
        commonName: AGENT,
        organizations: [],
      })
      const got = await user.kubectl(VERSION)
      expect(got.stderr).toBe(
        'Error from server (Forbidden): serviceaccounts "default" is forbidden: ' +
          `User "${GATEHOUSE_USERNAME}" cannot impersonate resource "serviceaccounts" in API ` +
          'group "" in the namespace "team-a"\n',
      )
    })

    test('is refused without the ClusterRole, which /readyz reports', async () => {
      const { admin } = cluster
      const binding = 'clusterrolebinding/gatehouse-impersonator'
      const saved = await admin(['get', binding, '-o', 'json'])
      await admin(['delete', binding])
      const errorOfVersion = async (): Promise<string> => (await user.kubectl(VERSION)).stderr
      await expect
        .poll(errorOfVersion, POLLING)
        .toContain(
          `users "oidc:ada" is forbidden: User "${GATEHOUSE_USERNAME}" cannot impersonate ` +
            'resource "users" in API group ""',
        )
      await expect.poll(readyz, POLLING).toContain('refused the asserted identity (status 403)')
      await admin(['create', '-f', '-'], { input: saved.stdout })
      await expect.poll(errorOfVersion, POLLING).toBe('')
      await expect.poll(readyz, POLLING).toBe('ok\n')
    })

    test('uses a new token, and an open watch continues', async () => {
      const { admin, gatehouseTokenFile } = cluster
      const created = await admin(['-n', 'gatehouse', 'create', 'token', 'gatehouse'])
      const token = created.stdout.trim()
      await replaceFile(gatehouseTokenFile, token)
      const credentialIds = async (): Promise<(string | undefined)[]> => {
        await user.kubectl(VERSION)
        return (await cluster.events())
          .filter(({ requestURI }) => requestURI === '/version')
          .map(({ user: { extra } }) => extra?.['authentication.kubernetes.io/credential-id']?.[0])
      }
      await expect.poll(credentialIds, POLLING).toContain(`JTI=${decodeJwt(token).jti ?? ''}`)
      await expectWatchGoesOn()
    })

    test('recovers after the API server was unreachable, which the error reports', async () => {
      await changeUpstream({ server: `https://127.0.0.1:${await freePort()}` })
      await expect
        .poll(errorOfVersion, { interval: 100 })
        .toBe(
          'Error from server (ServiceUnavailable): ' +
            'the API server cannot be reached (ECONNREFUSED)\n',
        )
      expect(await readyz()).toContain('[-]upstream-reachable failed')
      await changeUpstream({ server: cluster.controlPlane.url })
      await expect.poll(errorOfVersion, POLLING).toBe('')
      await expectWatchGoesOn()
    })

    test('does not send requests to a server whose certificate is not trusted', async () => {
      const unknown = await createAuthority({ commonName: 'unknown' })
      await changeUpstream({ 'certificate-authority-data': base64(unknown.certificatePem) })
      await expect
        .poll(errorOfVersion, POLLING)
        .toMatch(
          /^Error from server \(BadGateway\): the API server's certificate is not trusted \(\w+\)\n$/,
        )
      const before = await versionsServed()
      expect(await errorOfVersion()).not.toBe('')
      expect(await versionsServed()).toBe(before)
      expect(await readyz()).toContain('[-]upstream-reachable failed')
    })

    test('does not make kubectl log in again when the API server rejects the token', async () => {
      await writeFile(join(gatehouse.directory, 'token'), 'nonsense')
      await changeUpstream({}, { tokenFile: 'token' })
      await expect
        .poll(errorOfVersion, POLLING)
        .toBe(
          "Error from server (BadGateway): the API server does not accept Gatehouse's own " +
            'credential; contact your Gatehouse administrator\n',
        )
    })

    async function readyz(): Promise<string> {
      return (await fetch(`${gatehouse.probesUrl}/readyz`)).text()
    }

    async function expectWatchGoesOn(): Promise<void> {
      const name = `created-${++created}`
      await cluster.admin(['-n', 'team-a', 'create', 'configmap', name])
      expect(await watch.until(new RegExp(`^configmap/${name}$`, 'm'))).toContain(name)
    }

    async function versionsServed(): Promise<number> {
      return (await cluster.events()).filter(({ requestURI }) => requestURI === '/version').length
    }

    async function errorOfVersion(): Promise<string> {
      return (await user.kubectl(VERSION)).stderr
    }

    async function changeUpstream(clusterFields: object, userFields: object = {}): Promise<void> {
      const kubeconfig = parse(await readFile(cluster.gatehouseKubeconfig, 'utf8')) as {
        clusters: { cluster: object }[]
        users: { user: object }[]
      }
      Object.assign(kubeconfig.clusters[0]!.cluster, clusterFields)
      Object.assign(kubeconfig.users[0]!.user, userFields)
      await replaceFile(gatehouse.file('upstream.kubeconfig'), stringify(kubeconfig))
    }
  })

  test('carried no request with the rights of Gatehouse itself', async () => {
    expect(await cluster.eventsOfGatehouseItself()).toEqual([])
  })
})

/** A real Keycloak that ends sign-ins: its transmitter of security events, and kubectl. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { createAuthority } from '../../certs-dev/pki.ts'
import { startKeycloak, type Keycloak } from '../../dev/parts/keycloak.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { output } from '../support/command.ts'
import { blocksOf } from '../support/documents.ts'
import { SECRET, startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { skippedWithoutKeycloak } from '../support/keycloak.ts'
import { succeed } from '../support/kubectl.ts'
import type { RunningProgram } from '../support/program.ts'
import { createUser, type User } from '../support/users.ts'

const NAMESPACE = newNamespace()
const GRACE = { username: 'grace', password: 'of the compiler' }
const POLLING = { timeout: 30_000, interval: 500 }
const PATH = '/gatehouse/security-events'
const AUTHORIZATION = 'Bearer a-secret-of-the-transmitter'

describe.skipIf(await skippedWithoutKeycloak())('Keycloak', () => {
  let directory = ''
  let ca = ''
  let keycloak: Keycloak
  let cluster: Cluster
  let gatehouse: TestGatehouse
  let issuer = ''
  let userID = ''

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatehouse-keycloak-events-'))
    const file = (name: string): string => join(directory, name)
    const authority = await createAuthority({ commonName: 'serving' })
    ca = authority.certificatePem
    const serving = await authority.issue({
      ...{ commonName: 'gatehouse', ipAddresses: ['127.0.0.1'], usages: ['server'] },
    })
    await Promise.all([
      writeFile(file('serving-ca.crt'), ca),
      writeFile(file('serving.crt'), serving.certificatePem),
      writeFile(file('serving.key'), serving.keyPem, SECRET),
    ])
    ;[keycloak, cluster] = await Promise.all([
      startKeycloak(
        {
          ...{ realm: 'company', enabled: true, groups: [{ name: 'engineers' }] },
          attributes: { 'ssf.transmitterEnabled': 'true' },
          users: [
            {
              ...{ username: GRACE.username, enabled: true, emailVerified: true },
              ...{ email: 'grace@example.com', firstName: 'Grace', lastName: 'Hopper' },
              credentials: [{ type: 'password', value: GRACE.password }],
              groups: ['/engineers'],
            },
          ],
        },
        {
          trusted: [file('serving-ca.crt')],
          options: [
            // Gatehouse is on loopback here, where Keycloak sends nothing otherwise.
            '--spi-ssf-transmitter--default--allow-insecure-push-targets=true',
            '--spi-ssf-transmitter--default--outbox-drainer-interval=500ms',
          ],
        },
      ),
      joinCluster({ namespace: NAMESPACE, pod: false }),
    ])
    issuer = `${keycloak.url}/realms/company`
    const users = (await keycloak.admin('GET', '/realms/company/users')) as { id: string }[]
    userID = users[0]?.id ?? ''
    const binding = ['create', 'rolebinding', 'keycloak', '--clusterrole=view']
    await succeed(cluster.admin, ['-n', NAMESPACE, ...binding, `--user=oidc:${userID}`])
    const [client = ''] = await blocksOf('issuers.md', 'Keycloak', 'json')
    await keycloak.admin('POST', '/realms/company/clients', {
      ...(JSON.parse(client) as object),
      directAccessGrantsEnabled: true,
    })
    await writeFile(
      file('authentication.yaml'),
      stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'AuthenticationConfiguration',
        jwt: [
          {
            issuer: {
              ...{ url: issuer, audiences: ['kubernetes'] },
              certificateAuthority: keycloak.ca,
            },
            claimMappings: { username: { claim: 'sub', prefix: 'oidc:' } },
          },
        ],
      }),
    )
    gatehouse = await startTestGatehouse({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      configuration: {
        listener: { tls: { certFile: file('serving.crt'), privateKeyFile: file('serving.key') } },
        authentication: { configFile: file('authentication.yaml') },
      },
      transmitter: {
        ...{ issuer, issuers: [issuer], audiences: ['https://gatehouse.example.com'] },
        configurationURL: `${issuer}/.well-known/ssf-configuration`,
        certificateAuthorityFile: keycloak.caFile,
        push: { authorizationFile: 'push-authorization' },
      },
      files: { 'push-authorization': AUTHORIZATION },
    })
    await addReceiver()
  })

  afterAll(async () => {
    await keycloak.stop()
    await gatehouse.close()
    await cluster.stop()
    await rm(directory, { recursive: true })
  })

  /** The client and the stream of docs/security-events.md. */
  async function addReceiver(): Promise<void> {
    const [client = '', stream = ''] = (
      await blocksOf('security-events.md', 'Security events', 'json')
    ).map((block) =>
      block
        .replaceAll(`https://gatehouse.example.com${PATH}`, `${gatehouse.url}${PATH}`)
        .replace('Bearer CHANGE-ME', AUTHORIZATION),
    )
    await keycloak.admin('POST', '/realms/company/clients', JSON.parse(client))
    await keycloak.admin('POST', '/realms/company/ssf/clients/gatehouse/stream', JSON.parse(stream))
  }

  interface SignIn {
    readonly user: User
    readonly refreshToken: string
  }

  async function signIn(password = GRACE.password): Promise<SignIn> {
    const text = await post('token', {
      grant_type: 'password',
      scope: 'openid',
      ...GRACE,
      password,
    })
    const { id_token: token, refresh_token: refreshToken } = JSON.parse(text) as {
      readonly id_token: string
      readonly refresh_token: string
    }
    const user = await createUser(cluster.controlPlane, { ...gatehouse, ca }, '', [], { token })
    return { user, refreshToken }
  }

  function post(endpoint: string, fields: Readonly<Record<string, string>>): Promise<string> {
    const data = new URLSearchParams({ client_id: 'kubernetes', ...fields }).toString()
    const url = `${issuer}/protocol/openid-connect/${endpoint}`
    return output('curl', ['-sSf', '--cacert', keycloak.caFile, '-d', data, url])
  }

  async function watch({ user }: SignIn): Promise<RunningProgram> {
    const running = user.start(['-n', NAMESPACE, 'get', 'configmaps', '--watch'])
    await running.until(/kube-root-ca/)
    return running
  }

  const codeOf = async ({ user }: SignIn): Promise<number | null> =>
    (await user.kubectl(['-n', NAMESPACE, 'get', 'configmaps'])).code

  test('ends the session of a user who signs out, and not another one of the user', async () => {
    const [first, second] = [await signIn(), await signIn()]
    const [ended, other] = [await watch(first), await watch(second)]
    await post('logout', { refresh_token: first.refreshToken })
    expect((await ended.ended).stdout).toContain('has ended (session-revoked)')
    expect([await codeOf(first), await codeOf(second)]).toEqual([1, 0])
    await succeed(cluster.admin, ['-n', NAMESPACE, 'create', 'configmap', 'after-the-event'])
    await other.until(/after-the-event/)
  })

  test('ends all sessions of a user whom an administrator signs out; a new sign-in works', async () => {
    const signedIn = await signIn()
    const ended = await watch(signedIn)
    await keycloak.admin('POST', `/realms/company/users/${userID}/logout`)
    expect((await ended.ended).stdout).toContain('has ended (session-revoked at')
    expect(await codeOf(signedIn)).toBe(1)
    // One of the same second counts as earlier.
    await expect.poll(async () => codeOf(await signIn()), POLLING).toBe(0)
  })

  test('ends all sessions of a user whose password is changed', async () => {
    const signedIn = await signIn()
    const ended = await watch(signedIn)
    const credential = { type: 'password', value: 'of the navy', temporary: false }
    await keycloak.admin('PUT', `/realms/company/users/${userID}/reset-password`, credential)
    expect((await ended.ended).stdout).toContain('has ended (credential-change at')
    expect(await codeOf(signedIn)).toBe(1)
    await expect.poll(async () => codeOf(await signIn('of the navy')), POLLING).toBe(0)
  })

  test('is named by the audit events of what it has sent', async () => {
    const events = await gatehouse.eventsWhere(({ requestURI }) => requestURI === PATH, 3)
    for (const { user, responseStatus } of events) {
      expect([user.username, responseStatus?.code]).toEqual([issuer, 202])
    }
  })
})

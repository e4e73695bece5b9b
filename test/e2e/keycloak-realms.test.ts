/**
 * Two realms of a real Keycloak as two issuers: groups and attributes by CEL, names that stay apart, a CA
 * and a key set in files, and keys that change in one of them.
 */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { startKeycloak, type Keycloak } from '../../dev/parts/keycloak.ts'
import type { UserInfo } from '../../src/authentication/authenticator.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { output, type CommandResult } from '../support/command.ts'
import { replaceFile } from '../support/files.ts'
import { startTestGatehouse, waitUntilReady, type TestGatehouse } from '../support/gatehouse.ts'
import { skippedWithoutKeycloak } from '../support/keycloak.ts'
import { succeed } from '../support/kubectl.ts'
import { createUser } from '../support/users.ts'

const POLLING = { interval: 500 }
const GRACE = { username: 'grace', password: 'of the compiler' }
const REALMS = ['company', 'partners'] as const
type Realm = (typeof REALMS)[number]

/** A mapper of Keycloak that puts something into the ID token. */
const mapper = (name: string, protocolMapper: string, config: object) => ({
  ...{ name, protocol: 'openid-connect', protocolMapper },
  config: { 'claim.name': name, 'id.token.claim': 'true', ...config },
})

const CLIENT = {
  clientId: 'kubernetes',
  publicClient: true,
  directAccessGrantsEnabled: true,
  protocolMappers: [
    mapper('groups', 'oidc-group-membership-mapper', { 'full.path': 'true' }),
    mapper('department', 'oidc-usermodel-attribute-mapper', {
      'user.attribute': 'department',
      'jsonType.label': 'String',
    }),
  ],
}

const realmOf = (realm: string) => ({
  ...{ realm, enabled: true },
  groups: [{ name: 'engineers' }],
  clients: [CLIENT, { clientId: 'dashboard', publicClient: true, directAccessGrantsEnabled: true }],
  users: [
    {
      username: GRACE.username,
      ...{ enabled: true, emailVerified: true, email: `grace@${realm}.example` },
      ...{ firstName: 'Grace', lastName: 'Hopper' },
      credentials: [{ type: 'password', value: GRACE.password }],
      groups: ['/engineers'],
    },
  ],
})

describe.skipIf(await skippedWithoutKeycloak())('users of two realms of Keycloak', () => {
  let keycloak: Keycloak
  let cluster: Cluster
  let gatehouse: TestGatehouse
  let directory: string
  const file = (name: string): string => join(directory, name)
  const issuerOf = (realm: Realm): string => `${keycloak.url}/realms/${realm}`

  beforeAll(async () => {
    ;[keycloak, cluster] = await Promise.all([
      startKeycloak(realmOf('company')),
      joinCluster({ namespace: newNamespace(), pod: false }),
    ])
    await keycloak.admin('POST', '/realms', realmOf('partners'))
    for (const realm of REALMS) await setDepartment(realm, 'compilers')
    const binding = ['create', 'rolebinding', 'compilers', '--clusterrole=view']
    const { namespace } = cluster.controlPlane
    await succeed(cluster.admin, ['-n', namespace, ...binding, '--group=company:dept:compilers'])

    directory = await mkdtemp(join(cluster.controlPlane.directory, 'keycloak-'))
    await writeFile(file('keycloak-ca.crt'), keycloak.ca)
    await writeFile(file('partners.json'), await keySetOf('partners'))
    await writeFile(
      file('issuers.yaml'),
      stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'AuthenticationConfiguration',
        jwt: REALMS.map(jwtOf),
      }),
    )
    gatehouse = await startTestGatehouse({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      waitsForReadiness: false,
      configuration: {
        authentication: {
          configFile: file('issuers.yaml'),
          issuers: [
            { url: issuerOf('company'), certificateAuthorityFile: file('keycloak-ca.crt') },
            { url: issuerOf('partners'), jwksFile: file('partners.json') },
          ],
        },
      },
    })
    await waitUntilReady(gatehouse.probesUrl)
  })

  afterAll(async () => {
    await keycloak.stop()
    await gatehouse.close()
    await cluster.stop()
  })

  /** Groups of the realm, and one for the department, if there is one. */
  function jwtOf(realm: Realm): unknown {
    return {
      issuer: { url: issuerOf(realm), audiences: ['kubernetes'] },
      claimValidationRules: [
        { expression: 'claims.email_verified == true', message: 'verify the email address' },
      ],
      claimMappings: {
        username: { expression: `'${realm}:' + claims.preferred_username` },
        groups: {
          expression:
            `dyn(claims.groups).map(g, '${realm}:' + g) + ` +
            `(has(claims.department) ? ['${realm}:dept:' + claims.department] : [])`,
        },
        uid: { claim: 'sub' },
      },
      userValidationRules: [{ expression: "!user.username.endsWith(':root')", message: 'no root' }],
    }
  }

  test('have names of their realm, and groups made of groups and attributes', async () => {
    for (const realm of REALMS) {
      const { stdout } = await kubectl(await tokenOf(realm), ['auth', 'whoami', '-o', 'json'])
      const { userInfo } = (JSON.parse(stdout) as { status: { userInfo: UserInfo } }).status
      expect(userInfo.username).toBe(`${realm}:grace`)
      expect(userInfo.groups).toEqual([
        ...[`${realm}:/engineers`, `${realm}:dept:compilers`, 'system:authenticated'],
      ])
      expect(userInfo.uid).toMatch(/^[0-9a-f-]{36}$/)
    }
  })

  test('have the rights of their own realm, whatever a group of the other one is called', async () => {
    const list = ['get', 'configmaps', '-o', 'name']
    expect(await kubectl(await tokenOf('company'), list)).toMatchObject({
      ...{ code: 0, stdout: 'configmap/kube-root-ca.crt\n' },
    })
    await setDepartment('partners', 'x,company:dept:compilers')
    const refused = await kubectl(await tokenOf('partners'), list)
    expect(refused.stderr).toContain('User "partners:grace" cannot list resource "configmaps"')
  })

  test('lose the group of an attribute with the next token', async () => {
    await setDepartment('company', undefined)
    const { stdout } = await kubectl(await tokenOf('company'), ['auth', 'whoami'])
    expect(stdout).not.toContain('dept:')
    await setDepartment('company', 'compilers')
  })

  test('are refused when a rule about their claims is not met', async () => {
    await changeUser('company', { emailVerified: false })
    expect((await kubectl(await tokenOf('company'), VERSION)).stderr).toContain('Unauthorized')
    await expect.poll(causeOfRefusal, POLLING).toContain('verify the email address')
    await changeUser('company', { emailVerified: true })
  })

  test('are refused with a token for another client of their realm', async () => {
    for (const realm of REALMS) {
      const token = await tokenOf(realm, 'dashboard')
      expect((await kubectl(token, VERSION)).stderr).toContain('Unauthorized')
      await expect
        .poll(causeOfRefusal, POLLING)
        .toBe('the token is for another audience (aud): "dashboard"')
    }
  })

  test('are refused with a token that names the other realm', async () => {
    const [header, payload = '', signature] = (await tokenOf('partners')).split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
    const forged = { ...claims, iss: issuerOf('company') }
    const token = [header, Buffer.from(JSON.stringify(forged)).toString('base64url'), signature]
    expect((await kubectl(token.join('.'), VERSION)).stderr).toContain('Unauthorized')
  })

  test('with new keys in one realm are accepted in both, and a key set in a file is read again', async () => {
    const company = await tokenOf('company')
    for (const realm of REALMS) await addKey(realm)
    const [newCompany, newPartners] = [await tokenOf('company'), await tokenOf('partners')]
    // Fetched for a token of the new key, unless they were fetched less than ten seconds ago.
    await expect.poll(async () => (await kubectl(newCompany, VERSION)).stderr, POLLING).toBe('')
    expect((await kubectl(company, VERSION)).stderr).toBe('')
    expect((await kubectl(newPartners, VERSION)).stderr).toContain('Unauthorized')
    await replaceFile(file('partners.json'), await keySetOf('partners'))
    gatehouse.gatehouse.reload()
    await expect.poll(async () => (await kubectl(newPartners, VERSION)).stderr, POLLING).toBe('')
  })

  const VERSION = ['get', '--raw', '/version']

  async function kubectl(token: string, args: readonly string[]): Promise<CommandResult> {
    const user = await createUser(cluster.controlPlane, gatehouse, '', [], { token })
    return user.kubectl(args)
  }

  async function causeOfRefusal(): Promise<string | undefined> {
    const refusals = await gatehouse.eventsWhere(
      ({ responseStatus }) => responseStatus?.code === 401,
    )
    return refusals.at(-1)?.annotations['gatehouse/cause']
  }

  async function tokenOf(realm: Realm, client = 'kubernetes'): Promise<string> {
    const fields = { grant_type: 'password', client_id: client, scope: 'openid', ...GRACE }
    const data = new URLSearchParams(fields).toString()
    const url = `${issuerOf(realm)}/protocol/openid-connect/token`
    const text = await output('curl', ['-sSf', '--cacert', keycloak.caFile, '-d', data, url])
    return (JSON.parse(text) as { id_token: string }).id_token
  }

  async function keySetOf(realm: Realm): Promise<string> {
    const url = `${issuerOf(realm)}/protocol/openid-connect/certs`
    return output('curl', ['-sSf', '--cacert', keycloak.caFile, url])
  }

  async function changeUser(realm: Realm, fields: object): Promise<void> {
    const users = (await keycloak.admin('GET', `/realms/${realm}/users`)) as { id: string }[]
    const [user] = users
    await keycloak.admin('PUT', `/realms/${realm}/users/${user?.id}`, { ...user, ...fields })
  }

  async function setDepartment(realm: Realm, department: string | undefined): Promise<void> {
    const profile = (await keycloak.admin('GET', `/realms/${realm}/users/profile`)) as object
    const open = { ...profile, unmanagedAttributePolicy: 'ENABLED' }
    await keycloak.admin('PUT', `/realms/${realm}/users/profile`, open)
    const attributes = department === undefined ? {} : { department: [department] }
    await changeUser(realm, { attributes })
  }

  /** A key that signs from now on; the earlier ones stay published. */
  async function addKey(realm: Realm): Promise<void> {
    const { id: parentId } = (await keycloak.admin('GET', `/realms/${realm}`)) as { id: string }
    const provider = { providerId: 'rsa-generated', providerType: 'org.keycloak.keys.KeyProvider' }
    const component = { name: 'next', parentId, ...provider, config: { priority: ['200'] } }
    await keycloak.admin('POST', `/realms/${realm}/components`, component)
  }
})

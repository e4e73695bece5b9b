/** Users of a real Keycloak, with the client of docs/issuers.md and the issuers of config/authentication.yaml. */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'

import { startKeycloak, type Keycloak } from '../../dev/parts/keycloak.ts'
import { waitUntil } from '../../dev/parts/wait-until.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { command, output, type CommandResult } from '../support/command.ts'
import { blocksOf } from '../support/documents.ts'
import { replaceFile } from '../support/files.ts'
import { startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { skippedWithoutKeycloak } from '../support/keycloak.ts'
import { installKubelogin } from '../support/kubelogin.ts'
import { succeed } from '../support/kubectl.ts'

const NAMESPACE = newNamespace()
const POLLING = { interval: 500 }
const GRACE = { username: 'grace', password: 'of the compiler' }

describe.skipIf(await skippedWithoutKeycloak())('a user of Keycloak', () => {
  let keycloak: Keycloak
  let cluster: Cluster
  let gatehouse: TestGatehouse
  let issuer = ''
  let directory = ''
  let userId = ''
  const env = (): Record<string, string> => ({
    PATH: `${join(directory, 'bin')}:${process.env['PATH']}`,
    HOME: directory,
    KUBECONFIG: join(directory, 'kubeconfig'),
  })
  const kubectl = (...args: string[]): Promise<CommandResult> =>
    command('kubectl', args, { cwd: directory, env: env() })

  beforeAll(async () => {
    ;[keycloak, cluster] = await Promise.all([
      startKeycloak({
        realm: 'company',
        enabled: true,
        groups: [{ name: 'engineers' }],
        users: [
          {
            username: GRACE.username,
            enabled: true,
            emailVerified: true,
            ...{ email: 'grace@example.com', firstName: 'Grace', lastName: 'Hopper' },
            credentials: [{ type: 'password', value: GRACE.password }],
            groups: ['/engineers'],
            realmRoles: ['default-roles-company'],
          },
        ],
      }),
      joinCluster({ namespace: NAMESPACE, pod: false }),
    ])
    issuer = `${keycloak.url}/realms/company`
    const [client = ''] = await blocksOf('issuers.md', 'Keycloak', 'json')
    await keycloak.admin('POST', '/realms/company/clients', JSON.parse(client))
    const users = (await keycloak.admin('GET', '/realms/company/users')) as { id: string }[]
    userId = users[0]?.id ?? ''
    const group = '--group=oidc:/engineers'
    const binding = ['create', 'rolebinding', 'keycloak', '--clusterrole=view', group]
    await succeed(cluster.admin, ['-n', NAMESPACE, ...binding])

    gatehouse = await startTestGatehouse({ upstream: { kubeconfig: cluster.gatehouseKubeconfig } })
    await replaceFile(
      gatehouse.file('authentication.yaml'),
      await shippedIssuers(issuer, keycloak.ca),
    )
    await waitUntil('the keys are loaded', async () => (await readyz()).includes(`${issuer} ok`))

    directory = gatehouse.file('user')
    await mkdir(join(directory, 'bin'), { recursive: true })
    await symlink(cluster.controlPlane.kubectl, join(directory, 'bin', 'kubectl'))
    await installKubelogin(join(directory, 'bin'), GRACE)
    await writeFile(join(directory, 'gatehouse-ca.crt'), gatehouse.ca)
    await writeFile(join(directory, 'kubeconfig'), await kubeconfigOf())
  })

  afterAll(async () => {
    await keycloak.stop()
    await gatehouse.close()
    await cluster.stop()
  })

  test('signs in by kubelogin, and has the rights of the group', async () => {
    const { stdout } = await kubectl('auth', 'whoami')
    expect(/^Username +(.*)$/m.exec(stdout)?.[1]).toBe(`oidc:${userId}`)
    expect(/^Groups +(.*)$/m.exec(stdout)?.[1]).toBe('[oidc:/engineers system:authenticated]')
    expect(await kubectl('-n', NAMESPACE, 'get', 'configmaps', '-o', 'name')).toMatchObject({
      code: 0,
      stdout: 'configmap/kube-root-ca.crt\n',
    })
    const refused = await kubectl('-n', NAMESPACE, 'delete', 'configmap', 'kube-root-ca.crt')
    expect(refused.stderr).toContain(`User "oidc:${userId}" cannot delete resource "configmaps"`)
  })

  test('gets no token with the scope `groups`, which Keycloak does not have', async () => {
    const run = await kubectl(...loginArguments(), '--oidc-extra-scope=groups')
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('invalid_scope')
  })

  test('is refused with the token of another client, whose audience the audit event names', async () => {
    await addClientWithPasswords('dashboard')
    const { id_token: token } = await passwordGrant('dashboard')
    expect(await statusOf(token)).toContain('Unauthorized')
    await expect
      .poll(causeOfRefusal, POLLING)
      .toBe('the token is for another audience (aud): "dashboard"')
  })

  test('is refused with the access token, whose audience the audit event names', async () => {
    const { access_token: token } = await passwordGrant('dashboard')
    expect(await statusOf(token)).toContain('Unauthorized')
    await expect
      .poll(causeOfRefusal, POLLING)
      .toBe('the token is for another audience (aud): "account"')
  })

  test('is accepted with a new key at once, and no longer with one that was withdrawn', async () => {
    const first = await signIn()
    const added = await addKey('second', 200)
    const second = await signIn()
    expect(keyIdOf(second)).not.toBe(keyIdOf(first))
    expect([await statusOf(second), await statusOf(first)]).toEqual(['', ''])

    await keycloak.admin('DELETE', `/realms/company/components/${added}`)
    await addKey('third', 300)
    const third = await signIn()
    expect(keyIdOf(third)).not.toBe(keyIdOf(second))
    // Gatehouse asks the issuer for an unknown key at most every 10 s.
    await expect.poll(() => statusOf(third), POLLING).toBe('')
    expect(await statusOf(second)).toContain('Unauthorized')
    await expect
      .poll(causeOfRefusal, POLLING)
      .toBe('the issuer has no key for the key ID and algorithm of the token')
    expect([await statusOf(third), await statusOf(first)]).toEqual(['', ''])
    expect(await readyz()).toContain(`[+]jwks ${issuer} ok`)
  })

  /** The kubeconfig of docs/users.md, as docs/issuers.md says for Keycloak. */
  async function kubeconfigOf(): Promise<string> {
    const [kubeconfig = ''] = await blocksOf('users.md', 'With an OIDC token', 'yaml')
    return kubeconfig
      .replace('https://gatehouse.example.com:8443', gatehouse.url)
      .replace('https://login.example.com/realms/company', issuer)
      .replace(/^( +- )--oidc-extra-scope=groups$/m, `$1--certificate-authority=${keycloak.caFile}`)
  }

  function loginArguments(): string[] {
    const args = ['--oidc-client-id=kubernetes', `--certificate-authority=${keycloak.caFile}`]
    return ['oidc-login', 'get-token', `--oidc-issuer-url=${issuer}`, ...args]
  }

  /** A new ID token. */
  async function signIn(): Promise<string> {
    const text = await output('kubectl', loginArguments(), { cwd: directory, env: env() })
    return (JSON.parse(text) as { status: { token: string } }).status.token
  }

  /** What kubectl says on stderr with a token: nothing if it is accepted. */
  async function statusOf(token: string): Promise<string> {
    const connection = [`--server=${gatehouse.url}`, '--certificate-authority=gatehouse-ca.crt']
    const args = [...connection, `--token=${token}`, 'get', '--raw', '/version']
    const noUser = { ...env(), KUBECONFIG: join(directory, 'none') }
    return (await command('kubectl', args, { cwd: directory, env: noUser })).stderr
  }

  /** The cause of the latest 401 in the audit log, which is written shortly after the response. */
  async function causeOfRefusal(): Promise<string | undefined> {
    const refusals = await gatehouse.eventsWhere(
      ({ responseStatus }) => responseStatus?.code === 401,
    )
    return refusals.at(-1)?.annotations['gatehouse/cause']
  }

  async function addClientWithPasswords(clientId: string): Promise<void> {
    const client = { clientId, publicClient: true, directAccessGrantsEnabled: true }
    await keycloak.admin('POST', '/realms/company/clients', client)
  }

  async function passwordGrant(
    clientId: string,
  ): Promise<{ id_token: string; access_token: string }> {
    const fields = { grant_type: 'password', client_id: clientId, scope: 'openid', ...GRACE }
    const data = new URLSearchParams(fields).toString()
    const url = `${issuer}/protocol/openid-connect/token`
    const text = await output('curl', ['-sSf', '--cacert', keycloak.caFile, '-d', data, url])
    return JSON.parse(text) as { id_token: string; access_token: string }
  }

  /** Adds a key that signs from now on, if its priority is the highest; returns its ID in Keycloak. */
  async function addKey(name: string, priority: number): Promise<string> {
    const { id: parentId } = (await keycloak.admin('GET', '/realms/company')) as { id: string }
    const provider = { providerId: 'rsa-generated', providerType: 'org.keycloak.keys.KeyProvider' }
    const config = { priority: [String(priority)] }
    const component = { name, parentId, ...provider, config }
    return (await keycloak.admin('POST', '/realms/company/components', component)) as string
  }

  async function readyz(): Promise<string> {
    return (await fetch(`${gatehouse.probesUrl}/readyz?verbose`)).text()
  }
})

/** config/authentication.yaml, with the URL and the CA of an issuer. */
async function shippedIssuers(url: string, certificateAuthority: string): Promise<string> {
  const file = resolve(import.meta.dirname, '../../config/authentication.yaml')
  const shipped = parse(await readFile(file, 'utf8')) as { jwt: { issuer: object }[] }
  const [entry] = shipped.jwt
  const issuer = { ...entry?.issuer, url, certificateAuthority }
  return stringify({ ...shipped, jwt: [{ ...entry, issuer }] })
}

function keyIdOf(token: string): unknown {
  const [header = ''] = token.split('.')
  return (JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: unknown }).kid
}

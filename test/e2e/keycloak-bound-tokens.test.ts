/** A real Keycloak that binds access tokens to certificates of users, with the client of docs/bound-tokens.md. */
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { createAuthority, type Authority } from '../../certs-dev/pki.ts'
import { startKeycloak, type Keycloak } from '../../dev/parts/keycloak.ts'
import { waitUntil } from '../../dev/parts/wait-until.ts'
import { skippedWithoutChromium, startChromium, type Chromium } from '../support/chromium.ts'
import { createClient } from '../support/client.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { command } from '../support/command.ts'
import { blocksOf } from '../support/documents.ts'
import { SECRET, startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { skippedWithoutKeycloak } from '../support/keycloak.ts'
import { startProgram } from '../support/program.ts'
import { START } from '../support/sign-in-world.ts'

const USER = { username: 'grace', password: 'of the compiler' }

const isSkipped = (await skippedWithoutKeycloak()) || skippedWithoutChromium()

describe.skipIf(isSkipped)('a user of Keycloak with a certificate', () => {
  let directory = ''
  let keycloak: Keycloak
  let cluster: Cluster
  let gatehouse: TestGatehouse
  let chromium: Chromium
  let users: Authority
  const file = (name: string): string => join(directory, name)

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatehouse-keycloak-bound-'))
    users = await createAuthority({ commonName: 'users of the company' })
    await writeFile(file('users-ca.crt'), users.certificatePem)
    ;[keycloak, cluster, chromium] = await Promise.all([
      startKeycloak(REALM, { trusted: [file('users-ca.crt')], requestsCertificates: true }),
      joinCluster({ namespace: newNamespace(), pod: false }),
      startChromium(),
    ])
    const [client = ''] = await blocksOf('bound-tokens.md', 'Keycloak', 'json')
    await keycloak.admin('POST', '/realms/company/clients', {
      ...(JSON.parse(client) as object),
      redirectUris: ['http://127.0.0.1/*'],
    })
    const [rules = ''] = await blocksOf(
      'bound-tokens.md',
      'Refusing tokens that are not bound',
      'yaml',
    )
    const authentication = `${stringify(authenticationOf(keycloak)).trimEnd()}\n${rules.replaceAll(/^/gm, '    ')}`
    await writeFile(file('authentication.yaml'), authentication)
    gatehouse = await startTestGatehouse({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      configuration: {
        authentication: {
          configFile: file('authentication.yaml'),
          x509: { clientCAFile: file('users-ca.crt') },
        },
        signIn: {
          methods: [
            {
              name: 'company',
              issuer: `${keycloak.url}/realms/company`,
              clientID: 'kubernetes',
              scopes: [],
              redirectURIs: ['http://127.0.0.1'],
              boundTokens: 'clientCertificate',
            },
          ],
        },
      },
    })
    await writeFile(file('serving-ca.crt'), gatehouse.ca)
  })

  afterAll(async () => {
    await chromium.close()
    await gatehouse.close()
    await keycloak.stop()
    await cluster.stop()
    await rm(directory, { recursive: true, force: true })
  })

  test('signs in, is renewed, and a token that was stolen is useless', async () => {
    const home = await mkdtemp(join(directory, 'home-'))
    const own = await users.issue({ commonName: 'laptop-17', usages: ['client'] })
    await writeFile(join(home, 'own.crt'), own.certificatePem)
    await writeFile(join(home, 'own.key'), own.keyPem, SECRET)
    const log = join(home, 'windows')
    await writeFile(log, '')
    await mkdir(join(home, 'bin'))
    await writeFile(join(home, 'bin/browser'), `#!/bin/sh\necho "$1" >> '${log}'\n`, {
      mode: 0o755,
    })
    const env = {
      PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      ...{ HOME: home, BROWSER: join(home, 'bin/browser') },
    }
    const running = startProgram(
      process.execPath,
      [
        ...[START, 'login', gatehouse.url, '--ca-file', file('serving-ca.crt'), '--cache', 'file'],
        ...['--client-certificate', 'own.crt', '--client-key', 'own.key'],
      ],
      { cwd: home, env },
    )
    const windows = (): Promise<string> => readFile(log, 'utf8')
    await waitUntil('a window', async () => (await windows()) !== '')
    const context = await chromium.browser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    await page.goto((await windows()).trim())
    await page.locator('#username').fill(USER.username)
    await page.locator('#password').fill(USER.password)
    await page.locator('#kc-login').click()
    const { code, stdout, stderr } = await running.ended
    await context.close()
    expect({ code, stdout, stderr }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/company:grace[\s\S]*company:\/engineers/) as string,
    })

    const kubectl = (...args: readonly string[]) =>
      command(cluster.controlPlane.kubectl, args, { cwd: home, env })
    const whoami = ['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}']
    expect(await kubectl(...whoami)).toMatchObject({ code: 0, stdout: 'company:grace' })

    const cache = join(home, '.cache/gatehouse/sign-in')
    const name = (await readdir(cache)).find((each) => each.endsWith('.json')) ?? ''
    const text = await readFile(join(cache, name), 'utf8')
    await copyFile(join(cache, name), join(home, 'before'))
    const expired = text
      .replace(/"renewAt":\d+/, '"renewAt":1')
      .replace(/"expiresAt":\d+/, '"expiresAt":2')
    await writeFile(join(cache, name), expired)
    expect(await kubectl(...whoami)).toMatchObject({ code: 0, stdout: 'company:grace' })
    const renewed = JSON.parse(await readFile(join(cache, name), 'utf8')) as Session
    const before = JSON.parse(text) as Session
    expect(renewed.secrets.token).not.toBe(before.secrets.token)

    for (const [certificate, status] of [
      [own, 200],
      [undefined, 401],
      [await users.issue({ commonName: 'laptop-18', usages: ['client'] }), 401],
    ] as const) {
      const client = createClient({
        ...{ url: gatehouse.url, ca: gatehouse.ca, token: renewed.secrets.token },
        ...(certificate === undefined ? {} : { certificate }),
      })
      expect(await client.ask('/version')).toMatchObject({ status })
      await client.close()
    }
    const body = new URLSearchParams({
      ...{ grant_type: 'refresh_token', client_id: 'kubernetes' },
      refresh_token: renewed.secrets.refreshToken,
    }).toString()
    const thief = createClient({ url: keycloak.url, ca: keycloak.ca })
    const token = await thief.ask('/realms/company/protocol/openid-connect/token', {
      ...{ method: 'POST', body },
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    expect(token.status).toBeGreaterThanOrEqual(400)
    await thief.close()
  })
})

interface Session {
  readonly secrets: { readonly token: string; readonly refreshToken: string }
}

const REALM = {
  realm: 'company',
  enabled: true,
  groups: [{ name: 'engineers' }],
  users: [
    {
      ...{ username: USER.username, enabled: true, emailVerified: true },
      ...{ email: 'grace@example.com', firstName: 'Grace', lastName: 'of example' },
      groups: ['/engineers'],
      credentials: [{ type: 'password', value: USER.password }],
      realmRoles: ['default-roles-company'],
    },
  ],
}

/** Its only issuer is the last, so that text can be added to it. */
function authenticationOf({ url, ca }: Keycloak): unknown {
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: {
          url: `${url}/realms/company`,
          audiences: ['kubernetes'],
          certificateAuthority: ca,
        },
        claimMappings: {
          username: { claim: 'preferred_username', prefix: 'company:' },
          groups: { claim: 'groups', prefix: 'company:' },
        },
      },
    ],
  }
}

/**
 * Users who sign in at a real Keycloak with a real Chromium: on the pages, and with the command line and
 * kubectl. Its clients are those of docs/pages.md and docs/issuers.md.
 */
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'

import { createAuthority } from '../../certs-dev/pki.ts'
import { freePort } from '../../dev/parts/free-ports.ts'
import { startKeycloak, type Keycloak } from '../../dev/parts/keycloak.ts'
import { waitUntil } from '../../dev/parts/wait-until.ts'
import { skippedWithoutChromium, startChromium, type Chromium } from '../support/chromium.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { command, type CommandResult } from '../support/command.ts'
import { blocksOf } from '../support/documents.ts'
import { SECRET, startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { skippedWithoutKeycloak } from '../support/keycloak.ts'
import { succeed } from '../support/kubectl.ts'
import { newCookieKey } from '../support/pages-world.ts'
import { startProgram, type RunningProgram } from '../support/program.ts'
import { START } from '../support/sign-in-world.ts'

const NAMESPACE = newNamespace()
const SECRET_OF_PAGES = 'only-the-pages-know'
/** A token is renewed 30 s before it expires. */
const TOKEN_SECONDS = 40
const ada = { username: 'ada', password: 'of the engine' }
const grace = { username: 'grace', password: 'of the compiler' }

const isSkipped = (await skippedWithoutKeycloak()) || skippedWithoutChromium()

interface User {
  readonly home: string
  readonly env: Readonly<Record<string, string>>
  gatehouse(args: readonly string[]): RunningProgram
  /** In a terminal. */
  inTerminal(args: readonly string[]): RunningProgram
  kubectl(...args: readonly string[]): Promise<CommandResult>
  /** The address that a browser was asked to open; waits for it. */
  window(): Promise<string>
  windows(): Promise<readonly string[]>
}

describe.skipIf(isSkipped)('a user of Keycloak, with Chromium', () => {
  let directory = ''
  let keycloak: Keycloak
  let cluster: Cluster
  let gatehouse: TestGatehouse
  let chromium: Chromium
  let url = ''
  let ca = ''

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatehouse-keycloak-sign-in-'))
    const file = (name: string): string => join(directory, name)
    const authority = await createAuthority({ commonName: 'serving' })
    const serving = await authority.issue({
      ...{ commonName: 'gatehouse', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] },
      usages: ['server'],
    })
    ca = authority.certificatePem
    const port = await freePort()
    url = `https://localhost:${port}`
    await Promise.all([
      writeFile(file('serving-ca.crt'), ca),
      writeFile(file('serving.crt'), serving.certificatePem),
      writeFile(file('serving.key'), serving.keyPem, SECRET),
      writeFile(file('client-secret'), SECRET_OF_PAGES, SECRET),
      writeFile(file('cookie-keys'), newCookieKey(), SECRET),
    ])
    ;[keycloak, cluster, chromium] = await Promise.all([
      startKeycloak(realmOf('company', grace), { trusted: [file('serving-ca.crt')] }),
      joinCluster({ namespace: NAMESPACE, pod: false }),
      startChromium(),
    ])
    await keycloak.admin('POST', '/realms', realmOf('partners', ada))
    for (const realm of ['company', 'partners']) await addCommandLineClient(realm)
    await addPagesClient()
    await writeFile(file('authentication.yaml'), stringify(authenticationOf(keycloak)))
    const binding = ['create', 'rolebinding', 'keycloak', '--clusterrole=view']
    await succeed(cluster.admin, ['-n', NAMESPACE, ...binding, '--group=company:/engineers'])
    const issuer = `${keycloak.url}/realms/company`
    gatehouse = await startTestGatehouse({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      without: ['x509'],
      configuration: {
        listener: {
          port,
          tls: { certFile: file('serving.crt'), privateKeyFile: file('serving.key') },
        },
        authentication: {
          configFile: file('authentication.yaml'),
          streams: { onExpiry: 'end' },
        },
        signIn: {
          caFile: file('serving-ca.crt'),
          clusterName: 'lab',
          // The first one is what the command line chooses by itself.
          methods: ['partners', 'company'].map((name) => ({
            name,
            issuer: `${keycloak.url}/realms/${name}`,
            clientID: 'kubernetes',
            scopes: ['profile'],
            redirectURIs: ['http://127.0.0.1'],
            deviceAuthorization: name === 'company',
          })),
          pages: {
            url,
            issuer,
            clientID: 'gatehouse-pages',
            clientSecretFile: file('client-secret'),
            cookieKeysFile: file('cookie-keys'),
          },
        },
      },
    })
  })

  afterAll(async () => {
    await chromium.close()
    await gatehouse.close()
    await keycloak.stop()
    await cluster.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const trust = (): string[] => ['--ca-file', join(directory, 'serving-ca.crt')]

  async function addCommandLineClient(realm: string): Promise<void> {
    const [text = ''] = await blocksOf('issuers.md', 'Keycloak', 'json')
    const client = JSON.parse(text) as { attributes: object }
    await keycloak.admin('POST', `/realms/${realm}/clients`, {
      ...client,
      redirectUris: ['http://127.0.0.1/*'],
      attributes: { ...client.attributes, 'oauth2.device.authorization.grant.enabled': 'true' },
    })
  }

  async function addPagesClient(): Promise<void> {
    const [text = ''] = await blocksOf('pages.md', 'Keycloak', 'json')
    const client = text.replaceAll('https://login.gatehouse.example.com', url)
    await keycloak.admin('POST', '/realms/company/clients', {
      ...(JSON.parse(client) as object),
      secret: SECRET_OF_PAGES,
    })
  }

  async function newPage(): Promise<Page> {
    const context = await chromium.browser.newContext({ ignoreHTTPSErrors: true })
    onTestFinished(() => context.close())
    return context.newPage()
  }

  /** Fills in Keycloak's own form. */
  async function enter(page: Page, { username, password }: typeof grace): Promise<void> {
    await page.locator('#username').fill(username)
    await page.locator('#password').fill(password)
    await page.locator('#kc-login').click()
  }

  async function signInOnPages(): Promise<Page> {
    const page = await newPage()
    await page.goto(`${url}/`)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await enter(page, grace)
    await page.getByRole('heading', { name: 'You are' }).waitFor()
    return page
  }

  async function userId(realm: string): Promise<string> {
    const [user] = (await keycloak.admin('GET', `/realms/${realm}/users`)) as { id: string }[]
    return user?.id ?? ''
  }

  async function sessionsAtIssuer(): Promise<number> {
    const path = `/realms/company/users/${await userId('company')}/sessions`
    return ((await keycloak.admin('GET', path)) as unknown[]).length
  }

  /** A user with an empty home directory, on whose machine a browser opens nothing by itself. */
  async function newUser(): Promise<User> {
    const home = await mkdtemp(join(directory, 'home-'))
    const bin = join(home, 'bin')
    const log = join(home, 'windows')
    await mkdir(bin)
    await writeFile(log, '')
    await symlink(cluster.controlPlane.kubectl, join(bin, 'kubectl'))
    await script(join(bin, 'gatehouse'), `exec '${process.execPath}' '${START}' "$@"`)
    await script(join(bin, 'browser'), `echo "$1" >> '${log}'`)
    const env = {
      PATH: `${bin}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      HOME: home,
      BROWSER: join(bin, 'browser'),
    }
    const options = { cwd: home, env }
    const windows = async (): Promise<readonly string[]> =>
      (await readFile(log, 'utf8')).split('\n').slice(0, -1)
    return {
      home,
      env,
      windows,
      gatehouse: (args) => startProgram('gatehouse', args, options),
      inTerminal: (args) =>
        startProgram('script', ['-qec', ['gatehouse', ...args].join(' '), '/dev/null'], options),
      kubectl: (...args) => command('kubectl', args, options),
      async window() {
        await waitUntil('a window', async () => (await windows()).length > 0)
        return (await windows()).at(-1) ?? ''
      },
    }
  }

  async function login(user: User, as = grace, method = 'company'): Promise<CommandResult> {
    const running = user.gatehouse(['login', url, ...trust(), '--method', method])
    const page = await newPage()
    await page.goto(await user.window())
    await enter(page, as)
    const { code, stdout, stderr } = await running.ended
    return { code: code ?? -1, stdout, stderr }
  }

  const whoami = async (user: User): Promise<string> =>
    JSON.stringify(await user.kubectl('auth', 'whoami', '-o', 'jsonpath={.status.userInfo}'))

  describe('on the pages', () => {
    test('signs in, and uses the kubeconfig that is offered', async () => {
      const page = await signInOnPages()
      expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe(
        'You are company:grace',
      )
      expect(await page.getByText('company:/engineers').count()).toBe(1)
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('link', { name: 'Download kubeconfig' }).click(),
      ])
      const user = await newUser()
      const kubeconfig = join(user.home, download.suggestedFilename())
      await download.saveAs(kubeconfig)
      const args = [`--kubeconfig=${kubeconfig}`, '-n', NAMESPACE, 'get', 'configmaps']
      const running = startProgram(
        'script',
        ['-qec', ['kubectl', ...args].join(' '), '/dev/null'],
        {
          cwd: user.home,
          env: user.env,
        },
      )
      // The issuer's session is that of the page: nothing to enter.
      await page.goto(await user.window())
      expect(await running.until(/kube-root-ca/)).toContain('kube-root-ca.crt')
    })

    test('signing out ends the session at the issuer', async () => {
      const page = await signInOnPages()
      const before = await sessionsAtIssuer()
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByRole('heading', { name: 'You are signed out' }).waitFor()
      expect(page.url()).toBe(`${url}/gatehouse/signed-out`)
      expect(await sessionsAtIssuer()).toBe(before - 1)
      await page.goto(`${url}/`)
      await page.getByRole('link', { name: 'Sign in' }).click()
      await page.locator('#password').waitFor()
    })

    test('is signed out when an administrator of the issuer ends the session', async () => {
      const page = await signInOnPages()
      await keycloak.admin('POST', `/realms/company/users/${await userId('company')}/logout`)
      await expect
        .poll(async () => {
          await page.reload()
          return page.getByRole('link', { name: 'Sign in' }).count()
        })
        .toBe(1)
      const [event] = await gatehouse.eventsWhere(
        ({ requestURI }) => requestURI === '/gatehouse/backchannel-logout',
      )
      expect(event?.responseStatus).toMatchObject({ code: 200 })
    })
  })

  describe('with the command line', () => {
    test('signs in with the browser, and kubectl works', async () => {
      const user = await newUser()
      expect(await login(user)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('company:grace') as string,
      })
      expect(await whoami(user)).toContain('company:/engineers')
      expect(await user.kubectl('-n', NAMESPACE, 'get', 'configmaps', '-o', 'name')).toMatchObject({
        code: 0,
        stdout: 'configmap/kube-root-ca.crt\n',
      })
      expect(await user.windows()).toHaveLength(1)
    })

    test('pastes the address of the last page where no browser can open', async () => {
      const user = await newUser()
      const running = user.inTerminal([
        'login',
        url,
        ...trust(),
        '--method',
        'company',
        '--no-browser',
      ])
      const text = await running.until(/paste it here/)
      const [address = ''] = /https:\/\/127\.0\.0\.1\S+\/auth\?\S+/.exec(text) ?? []
      const page = await newPage()
      // As on another machine, where nothing listens on loopback.
      await page.route(/^http:\/\/127\.0\.0\.1/, (route) => route.abort())
      const [redirect] = await Promise.all([
        page.waitForRequest(/^http:\/\/127\.0\.0\.1/),
        page.goto(address).then(() => enter(page, grace)),
      ])
      running.write(`${redirect.url()}\r`)
      await running.until(/Now run/)
      expect(await running.ended).toMatchObject({ code: 0 })
      expect(await whoami(user)).toContain('company:grace')
      expect(await user.windows()).toEqual([])
    })

    test('signs in with a code on another device', async () => {
      const user = await newUser()
      const running = user.gatehouse(['login', url, ...trust(), '--method', 'company', '--device'])
      const text = await running.until(/[A-Z]{4}-[A-Z]{4}/)
      const [address = ''] = /https:\/\/\S+\/device/.exec(text) ?? []
      const [code = ''] = /[A-Z]{4}-[A-Z]{4}/.exec(text) ?? []
      const page = await newPage()
      await page.goto(address)
      await page.locator('[name=device_user_code]').fill(code)
      await page.locator('input[type=submit], button[type=submit]').click()
      await enter(page, grace)
      await page.locator('[name=accept]').click()
      expect(await running.ended).toMatchObject({ code: 0 })
      expect(await whoami(user)).toContain('company:grace')
    })

    test('has users of two realms side by side', async () => {
      const user = await newUser()
      await login(user)
      const running = user.gatehouse([
        'login',
        url,
        ...trust(),
        '--method',
        'partners',
        '--context',
        'partners',
      ])
      await waitUntil('a second window', async () => (await user.windows()).length > 1)
      const page = await newPage()
      await page.goto(await user.window())
      await enter(page, ada)
      expect(await running.ended).toMatchObject({ code: 0 })
      const named = async (context: string): Promise<string> =>
        (await user.kubectl('auth', 'whoami', `--context=${context}`)).stdout
      expect(await named('lab')).toContain('company:grace')
      expect(await named('partners')).toContain('partners:ada')
    })

    test('goes on in the middle of a watch when its token has expired', async () => {
      const user = await newUser()
      await login(user)
      await succeed(cluster.admin, ['-n', NAMESPACE, 'create', 'configmap', 'waits'])
      const done = '--for=jsonpath={.data.done}=yes'
      const waiting = ['wait', done, 'configmap/waits', '-n', NAMESPACE, '--timeout=5m']
      const watching = startProgram('kubectl', waiting, { cwd: user.home, env: user.env })
      const watches = async (): Promise<number> => {
        const events = await gatehouse.events()
        return events.filter(
          ({ requestURI, stage, verb }) =>
            verb === 'watch' && stage === 'ResponseComplete' && requestURI.includes('/configmaps'),
        ).length
      }
      const before = await watches()
      // Gatehouse ends the watch with its token; client-go begins another one, with a new token.
      await waitUntil('the watch ends', async () => (await watches()) > before, undefined, 120_000)
      const patch = JSON.stringify({ data: { done: 'yes' } })
      await succeed(cluster.admin, ['-n', NAMESPACE, 'patch', 'configmap', 'waits', '-p', patch])
      const { code, stdout, stderr } = await watching.ended
      expect([code, stdout]).toEqual([0, 'configmap/waits condition met\n'])
      // It is client-go that says this, once.
      expect(stderr).toContain('watch ended with error')
      expect(stderr.match(/the credential th/g)).toHaveLength(1)
      // Nobody was asked, and the rotated refresh token still works.
      expect(await user.windows()).toHaveLength(1)
      expect(await whoami(user)).toContain('company:grace')
    })

    test('signs out at the issuer', async () => {
      const user = await newUser()
      await login(user)
      const before = await sessionsAtIssuer()
      expect(await user.gatehouse(['logout', url]).ended).toMatchObject({ code: 0 })
      expect(await sessionsAtIssuer()).toBe(before - 1)
      expect((await user.kubectl('get', 'pods')).code).not.toBe(0)
    })
  })
})

async function script(path: string, line: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${line}\n`)
  await chmod(path, 0o755)
}

/** A realm with one user, whose refresh tokens are good for one use. */
function realmOf(realm: string, { username, password }: typeof grace): Record<string, unknown> {
  return {
    realm,
    enabled: true,
    accessTokenLifespan: TOKEN_SECONDS,
    revokeRefreshToken: true,
    refreshTokenMaxReuse: 0,
    groups: [{ name: 'engineers' }],
    users: [
      {
        ...{ username, enabled: true, emailVerified: true, email: `${username}@example.com` },
        ...{ firstName: username, lastName: 'of example', groups: ['/engineers'] },
        credentials: [{ type: 'password', value: password }],
        realmRoles: [`default-roles-${realm}`],
      },
    ],
  }
}

function authenticationOf({ url, ca }: Keycloak): unknown {
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: ['company', 'partners'].map((realm) => ({
      issuer: {
        url: `${url}/realms/${realm}`,
        audiences: realm === 'company' ? ['kubernetes', 'gatehouse-pages'] : ['kubernetes'],
        ...(realm === 'company' ? { audienceMatchPolicy: 'MatchAny' } : {}),
        certificateAuthority: ca,
      },
      claimMappings: {
        username: { claim: 'preferred_username', prefix: `${realm}:` },
        groups: { claim: 'groups', prefix: `${realm}:` },
      },
    })),
  }
}

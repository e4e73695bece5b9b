/** The credential plugin as a program, with a Gatehouse and an identity provider. */
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

import { browse } from '../support/browser.ts'
import { startProgram } from '../support/program.ts'
import {
  execInfo,
  START,
  startSignInWorld,
  type CommandLineUser,
  type SignInWorld,
} from '../support/sign-in-world.ts'

let world: SignInWorld

beforeAll(async () => {
  world = await startSignInWorld({ method: { deviceAuthorization: true } })
})
afterAll(() => world.close())

interface Stored {
  facts: Record<string, unknown>
  secrets: { token: string; refreshToken: string; dpopKey: object }
}

const TOKEN_PATH = '/token'

function tokenRequests(): number {
  return world.provider.requests.get(TOKEN_PATH) ?? 0
}

function tokenOf(stdout: string): string {
  const { status } = JSON.parse(stdout) as { status: { token: string } }
  return status.token
}

function directoryOf({ home }: CommandLineUser): string {
  return join(home, '.cache/gatehouse/sign-in')
}

async function sessionFiles(user: CommandLineUser): Promise<readonly string[]> {
  const names = await readdir(directoryOf(user))
  return names.filter((name) => name.endsWith('.json')).map((name) => join(directoryOf(user), name))
}

async function stored(user: CommandLineUser): Promise<Stored> {
  const [file = ''] = await sessionFiles(user)
  return JSON.parse(await readFile(file, 'utf8')) as Stored
}

/** Changes the cached session. */
async function change(user: CommandLineUser, edit: (session: Stored) => void): Promise<void> {
  const [file = ''] = await sessionFiles(user)
  const session = await stored(user)
  edit(session)
  await writeFile(file, JSON.stringify(session))
}

const expire = (session: Stored): void => {
  session.facts['renewAt'] = 1
  session.facts['expiresAt'] = 2
}

/** A user who has signed in once. */
async function signedIn(account?: string): Promise<CommandLineUser> {
  const user = await world.user(account)
  expect(await user.plugin()).toMatchObject({ code: 0 })
  return user
}

describe('without a cached token', () => {
  test('one window is opened, and the token is one that Gatehouse accepts', async () => {
    const user = await world.user()
    const { code, stdout, stderr } = await user.plugin()
    expect([code, stderr]).toEqual([0, expect.stringContaining('Sign in with your browser')])
    expect(JSON.parse(stdout)).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: {
        token: expect.any(String) as string,
        expirationTimestamp: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      },
    })
    expect(decodeJwt(tokenOf(stdout))).toMatchObject({ preferred_username: 'grace' })
    const [url = '', ...others] = await user.windows()
    expect(others).toEqual([])
    expect(Object.fromEntries(new URL(url).searchParams)).toMatchObject({
      code_challenge_method: 'S256',
      state: expect.stringMatching(/^.{43}$/) as string,
      nonce: expect.stringMatching(/^.{43}$/) as string,
      dpop_jkt: expect.any(String) as string,
    })
  })

  test('v1beta1 is spoken where the client does', async () => {
    const user = await signedIn()
    const apiVersion = 'client.authentication.k8s.io/v1beta1'
    const { stdout } = await user.plugin({ apiVersion })
    expect(JSON.parse(stdout)).toMatchObject({ apiVersion })
  })

  test('a caller that is not interactive gets one line, and no window', async () => {
    const user = await world.user()
    expect(await user.plugin({ interactive: false })).toEqual({
      code: 3,
      stdout: '',
      stderr: `gatehouse: not signed in: run gatehouse login ${world.gatehouse.url}\n`,
    })
    expect(await user.windows()).toEqual([])
  })

  test('a canceled sign-in is one line with its exit code', async () => {
    const user = await world.user('')
    const { code, stdout, stderr } = await user.plugin()
    expect([code, stdout]).toEqual([4, ''])
    expect(stderr).toMatch(/refused the sign-in: the account is not allowed .* or .* canceled/)
    expect(await sessionFiles(user)).toEqual([])
  })

  test('many at once open one window, and all get its token', async () => {
    const user = await world.user()
    const runs = await Promise.all(Array.from({ length: 8 }, () => user.plugin()))
    expect(runs.map(({ code }) => code)).toEqual(runs.map(() => 0))
    expect(new Set(runs.map(({ stdout }) => tokenOf(stdout))).size).toBe(1)
    expect(await user.windows()).toHaveLength(1)
  })

  test('many at once whose sign-in is canceled open one window, and all fail', async () => {
    const user = await world.user('')
    const runs = await Promise.all(Array.from({ length: 6 }, () => user.plugin()))
    expect(runs.map(({ code }) => code)).toEqual(runs.map(() => 4))
    expect(await user.windows()).toHaveLength(1)
  })
})

describe('with a cached token', () => {
  test('nothing is asked over the network', async () => {
    const user = await signedIn()
    const { secrets } = await stored(user)
    const before = world.provider.requests
    const requests = [...before.values()].reduce((sum, count) => sum + count, 0)
    const { code, stdout, stderr } = await user.plugin({ interactive: false })
    expect([code, stderr, tokenOf(stdout)]).toEqual([0, '', secrets.token])
    expect([...before.values()].reduce((sum, count) => sum + count, 0)).toBe(requests)
  })

  test('the cache is for its owner only', async () => {
    const user = await signedIn()
    expect((await stat(directoryOf(user))).mode & 0o777).toBe(0o700)
    for (const file of await sessionFiles(user)) {
      expect((await stat(file)).mode & 0o777).toBe(0o600)
    }
  })

  test.for(['', '{', 'null', '{"version":1}', '{"version":2}', '[]'])(
    'a corrupted cache means to sign in again: %j',
    async (content) => {
      const user = await signedIn()
      const [file = ''] = await sessionFiles(user)
      await writeFile(file, content)
      expect(await user.plugin({ interactive: false })).toMatchObject({ code: 3, stdout: '' })
    },
  )

  test('a directory that others can read is closed', async () => {
    const user = await world.user()
    await mkdir(directoryOf(user), { recursive: true, mode: 0o755 })
    expect(await user.plugin()).toMatchObject({ code: 0 })
    expect((await stat(directoryOf(user))).mode & 0o777).toBe(0o700)
  })

  test('XDG_CACHE_HOME is where the cache is', async () => {
    const user = await world.user()
    const env = { XDG_CACHE_HOME: join(user.home, 'elsewhere') }
    expect(await user.plugin({ env })).toMatchObject({ code: 0 })
    expect(await readdir(join(user.home, 'elsewhere/gatehouse/sign-in'))).not.toEqual([])
  })

  test('a cache that cannot be written is one line, and no token is printed', async () => {
    const user = await world.user()
    await writeFile(join(user.home, 'file'), '')
    const env = { XDG_CACHE_HOME: join(user.home, 'file') }
    const { code, stdout, stderr } = await user.plugin({ env })
    expect([code, stdout]).toEqual([7, ''])
    expect(stderr).toMatch(/^gatehouse: cannot write .*: a part of the path is not a directory\n$/)
  })

  test('several accounts live side by side', async () => {
    const user = await signedIn()
    const args = ['--account=heidi']
    const env = { BROWSER_ACCOUNT: 'heidi' }
    const { stdout } = await user.plugin({ args, env })
    expect(decodeJwt(tokenOf(stdout))).toMatchObject({ preferred_username: 'heidi' })
    expect(new URL((await user.windows())[1] ?? '').searchParams.get('login_hint')).toBe('heidi')
    const own = await user.plugin({ interactive: false })
    expect(decodeJwt(tokenOf(own.stdout))).toMatchObject({ preferred_username: 'grace' })
  })
})

describe('with an expired token', () => {
  test('it is renewed without a window, and the rotated refresh token and its key are kept', async () => {
    const user = await signedIn()
    const before = await stored(user)
    await change(user, expire)
    // Two tokens of the same second are the same token.
    await sleep(1_000)
    const { code, stdout, stderr } = await user.plugin({ interactive: false })
    expect([code, stderr]).toEqual([0, ''])
    const after = await stored(user)
    expect(tokenOf(stdout)).toBe(after.secrets.token)
    expect(after.secrets.token).not.toBe(before.secrets.token)
    expect(after.secrets.refreshToken).not.toBe(before.secrets.refreshToken)
    expect(after.secrets.dpopKey).toEqual(before.secrets.dpopKey)
    expect(await user.windows()).toHaveLength(1)
  })

  test('many at once make one refresh, so that a rotated refresh token survives', async () => {
    const user = await signedIn()
    await change(user, expire)
    const before = tokenRequests()
    const runs = await Promise.all(
      Array.from({ length: 8 }, () => user.plugin({ interactive: false })),
    )
    expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual(runs.map(() => [0, '']))
    expect(new Set(runs.map(({ stdout }) => tokenOf(stdout))).size).toBe(1)
    expect(tokenRequests()).toBe(before + 1)
    await change(user, expire)
    expect(await user.plugin({ interactive: false })).toMatchObject({ code: 0 })
  })

  test('a refresh token that was stolen is useless without the key', async () => {
    const user = await signedIn()
    await change(user, (session) => {
      expire(session)
      delete (session.secrets as Partial<Stored['secrets']>).dpopKey
    })
    expect(await user.plugin({ interactive: false })).toMatchObject({ code: 3 })
  })

  test('a refresh token that is not accepted means to sign in again', async () => {
    const user = await signedIn()
    await change(user, (session) => {
      expire(session)
      session.secrets.refreshToken = 'revoked'
    })
    expect(await user.plugin({ interactive: false })).toMatchObject({ code: 3, stdout: '' })
    expect(await user.plugin()).toMatchObject({ code: 0 })
    expect(await user.windows()).toHaveLength(2)
  })

  test('an issuer that is down is one line; until a token expires, it is used', async () => {
    const user = await signedIn()
    await change(user, (session) => {
      session.facts['renewAt'] = 1
      session.facts['discoveryURL'] = 'https://127.0.0.1:1/.well-known/openid-configuration'
    })
    expect(await user.plugin({ interactive: false })).toMatchObject({ code: 0, stderr: '' })
    await change(user, expire)
    const { code, stdout, stderr } = await user.plugin({ interactive: false })
    expect([code, stdout]).toEqual([5, ''])
    expect(stderr).toMatch(/^gatehouse: cannot use https:\S+: connection refused\n$/)
  })
})

describe('a token is given only for the server that it was obtained for', () => {
  test.for([
    ['another server', { server: 'https://evil.example' }, 6],
    ['another port', { server: 'https://127.0.0.1:1' }, 6],
    ['no TLS', { server: 'http://127.0.0.1:8443' }, 6],
    ['no verification of the server', { 'insecure-skip-tls-verify': true }, 6],
    ['another server name', { 'tls-server-name': 'evil.example' }, 6],
    ['another CA', { 'certificate-authority-data': Buffer.from('x').toString('base64') }, 3],
    ['no CA', { 'certificate-authority-data': '' }, 3],
    ['no server', { server: null }, 2],
  ] as const)('a kubeconfig with %s gets none', async ([, cluster, exitCode]) => {
    const user = await signedIn()
    const { code, stdout, stderr } = await user.plugin({ interactive: false, cluster })
    expect([code, stdout]).toEqual([exitCode, ''])
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(await user.windows()).toHaveLength(1)
  })

  test.for([
    { what: 'the client of the first one', isCopy: true },
    // Its issuer could send the browser on to that of the first one (mix-up, RFC 9207).
    { what: 'an issuer and a client of its own', isCopy: false },
  ])('a second server with $what gets none without a question', async ({ isCopy }) => {
    const { provider, providerCA } = world
    const hostile = await startSignInWorld(
      isCopy ? { method: { name: 'copy' }, provider, providerCA } : {},
    )
    onTestFinished(() => hostile.close())
    const user = await signedIn()
    const { code, stdout, stderr } = await user.run(
      ['get-token', `--server=${hostile.gatehouse.url}`],
      { KUBERNETES_EXEC_INFO: execInfo(hostile.gatehouse) },
    )
    expect([code, stdout]).toEqual([6, ''])
    expect(stderr).toContain(`you have signed in at ${world.gatehouse.url} before`)
    expect(await user.windows()).toHaveLength(1)
  })
})

describe('bad input', () => {
  test.for([
    [['--server=http://x'], 6],
    [['--server=https://user:pw@x'], 2],
    [['--unknown=x'], 2],
    [['--server'], 2],
    [[], 2],
  ] as const)('arguments %j are one line', async ([args, exitCode]) => {
    const user = await world.user()
    const run = await user.run(['get-token', ...args], {
      KUBERNETES_EXEC_INFO: execInfo(world.gatehouse),
    })
    expect([run.code, run.stdout]).toEqual([exitCode, ''])
    expect(run.stderr).toMatch(/^gatehouse: .+\n$/)
  })

  test.for([
    '',
    '{',
    '{}',
    '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v9"}',
  ])('KUBERNETES_EXEC_INFO %j is one line', async (text) => {
    const user = await world.user()
    const run = await user.plugin({ env: { KUBERNETES_EXEC_INFO: text } })
    expect([run.code, run.stdout]).toEqual([2, ''])
    expect(run.stderr).toMatch(/^gatehouse: KUBERNETES_EXEC_INFO .+\n$/)
  })
})

describe('in a terminal', () => {
  /** The plugin with a terminal as its standard input, as kubectl has it. */
  function inTerminal(user: CommandLineUser, args: readonly string[] = []) {
    const words = [process.execPath, START, 'get-token', `--server=${world.gatehouse.url}`, ...args]
    return startProgram('script', ['-qec', words.join(' '), '/dev/null'], {
      cwd: user.home,
      env: { ...user.env, KUBERNETES_EXEC_INFO: execInfo(world.gatehouse) },
    })
  }

  const addressIn = (text: string): string => /https:\/\/\S+\/auth\?\S+/.exec(text)?.[0] ?? ''

  test('where no browser can open, the address of the last page is pasted', async () => {
    const user = await world.user()
    const plugin = inTerminal(user, ['--no-browser'])
    const text = await plugin.until(/paste it here/)
    const { url } = await browse(addressIn(text), {
      ca: world.providerCA,
      account: 'grace',
      isRemote: true,
    })
    plugin.write('not an address\r')
    await plugin.until(/This is not such an address/)
    plugin.write(`${url}\r`)
    await plugin.until(/"kind":"ExecCredential"/)
    expect(await plugin.ended).toMatchObject({ code: 0 })
    expect(await user.windows()).toEqual([])
  })

  test('a pasted address of another sign-in is refused', async () => {
    const user = await world.user()
    const plugin = inTerminal(user, ['--no-browser'])
    await plugin.until(/paste it here/)
    plugin.write('http://127.0.0.1:1/?code=x&state=another\r')
    await plugin.until(/wrong state/)
    expect(await plugin.ended).toMatchObject({ code: 6 })
  })

  test('Ctrl-C ends it with 130', async () => {
    const user = await world.user()
    const plugin = inTerminal(user, ['--no-browser'])
    await plugin.until(/paste it here/)
    plugin.write('\x03')
    expect(await plugin.ended).toMatchObject({ code: 130 })
  })

  test('a redirect with a wrong state ends the sign-in, and shows nothing of it', async () => {
    const user = await world.user()
    const plugin = inTerminal(user, ['--no-browser'])
    const text = await plugin.until(/paste it here/)
    const redirect = new URL(new URL(addressIn(text)).searchParams.get('redirect_uri') ?? '')
    expect((await fetch(new URL('/other?code=x&state=y', redirect))).status).toBe(404)
    expect((await fetch(new URL('/favicon.ico', redirect))).status).toBe(404)
    const response = await fetch(new URL('/?code=x&state=%3Cscript%3E', redirect))
    expect([response.status, await response.text()]).toEqual([
      400,
      expect.not.stringContaining('script'),
    ])
    await plugin.until(/wrong state/)
    expect(await plugin.ended).toMatchObject({ code: 6 })
  })

  test('a device code signs in, where the administrator allows it', async () => {
    const user = await world.user()
    const plugin = inTerminal(user, ['--device'])
    const text = await plugin.until(/[A-Z]{4}-[A-Z]{4}/)
    const [address = ''] = /https:\/\/\S+\/device/.exec(text) ?? []
    const [code = ''] = /[A-Z]{4}-[A-Z]{4}/.exec(text) ?? []
    await browse(address, { ca: world.providerCA, account: 'grace', userCode: code })
    await plugin.until(/"kind":"ExecCredential"/)
    expect(await plugin.ended).toMatchObject({ code: 0 })
  })
})

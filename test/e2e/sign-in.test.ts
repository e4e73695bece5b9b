/** `gatehouse login` and the commands around it, and a real kubectl with what they have written. */
import { X509Certificate } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'

import { FLAGS, NAMES } from '../../src/client/exec/arguments.ts'
import { takeLock } from '../../src/client/session/lock.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { command, type CommandResult } from '../support/command.ts'
import { startProgram } from '../support/program.ts'
import {
  START,
  startSignInWorld,
  type CommandLineUser,
  type SignInWorld,
} from '../support/sign-in-world.ts'

/** Longer than a token of half a minute is valid. */
const PATIENT = { timeout: 90_000, interval: 250 }

let world: SignInWorld

beforeAll(async () => {
  world = await startSignInWorld({ signIn: { caFile: 'serving-ca.crt', clusterName: 'lab' } })
})
afterAll(() => world.close())

const fingerprint = (): string => new X509Certificate(world.gatehouse.ca).fingerprint256
const configOf = ({ home }: CommandLineUser): string => join(home, '.kube/config')

/** Signs in without a question. */
function login(user: CommandLineUser, ...args: readonly string[]): Promise<CommandResult> {
  const trust = ['--ca-fingerprint', fingerprint()]
  return user.run(['login', world.gatehouse.url, ...trust, ...args])
}

async function sessionsOf({ home }: CommandLineUser): Promise<readonly string[]> {
  const names = await readdir(join(home, '.cache/gatehouse/sign-in'))
  return names.filter((name) => name.endsWith('.json'))
}

describe('gatehouse login', () => {
  test('signs in, writes the kubeconfig, and says what to type next', async () => {
    const user = await world.user()
    const { code, stdout, stderr } = await login(user, '--namespace', 'shop')
    expect([code, stdout]).toEqual([0, expect.stringContaining('oidc:grace at Gatehouse')])
    expect(stdout).toContain('Now run: kubectl get pods')
    expect(stderr).toContain('Sign in with your browser')
    const text = await readFile(configOf(user), 'utf8')
    expect((await stat(configOf(user))).mode & 0o777).toBe(0o600)
    expect(text).not.toMatch(/token:|refresh|insecure/)
    expect(parse(text)).toMatchObject({
      'current-context': 'lab',
      clusters: [{ name: 'lab', cluster: { server: world.gatehouse.url } }],
      contexts: [{ name: 'lab', context: { cluster: 'lab', namespace: 'shop', user: 'lab' } }],
      users: [{ user: { exec: { interactiveMode: 'IfAvailable', provideClusterInfo: true } } }],
    })
  })

  test('asks once whether to trust a CA that the machine does not know', async () => {
    const user = await world.user()
    const inTerminal = () =>
      startProgram(
        'script',
        ['-qec', `${process.execPath} ${START} login ${world.gatehouse.url}`, '/dev/null'],
        {
          cwd: user.home,
          env: user.env,
        },
      )
    const first = inTerminal()
    expect(await first.until(/Do you trust this CA/)).toContain(fingerprint())
    first.write('n\r')
    expect(await first.ended).toMatchObject({ code: 6 })
    await expect(stat(configOf(user))).rejects.toThrow('ENOENT')
    const second = inTerminal()
    await second.until(/Do you trust this CA/)
    second.write('y\r')
    await second.until(/Now run/)
    expect(await second.ended).toMatchObject({ code: 0 })
    const third = inTerminal()
    expect(await third.until(/Now run/)).not.toContain('Do you trust')
  })

  test('without a terminal or a browser, says at once what it waits for', async () => {
    const user = await world.user()
    // As openssl prints it.
    const printed = `sha256 Fingerprint=${fingerprint()}`
    const args = ['login', world.gatehouse.url, '--ca-fingerprint', printed, '--no-browser']
    const running = startProgram(process.execPath, [START, ...args], {
      cwd: user.home,
      env: user.env,
    })
    expect(await running.until(/Waiting 5 minutes/)).toContain('Open this address in a browser')
    await running.stop()
  })

  test('an unknown option is one line and a hint, not the whole help', async () => {
    const user = await world.user()
    const { code, stdout, stderr } = await user.run(['login', world.gatehouse.url, '--nonsense'])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^error: unknown option '--nonsense'\n+Add --help to see[^\n]*\n$/)
  })

  test('without a terminal, an unknown CA is one failure that shows the fingerprint', async () => {
    const user = await world.user()
    const { code, stdout, stderr } = await user.run(['login', world.gatehouse.url])
    expect([code, stdout]).toEqual([6, ''])
    expect(stderr).toContain(fingerprint())
    expect(stderr).toContain('--ca-fingerprint')
  })

  test('a CA with another fingerprint is refused', async () => {
    const user = await world.user()
    const wrong = ['--ca-fingerprint', `sha256:${'00'.repeat(32)}`]
    const { code, stderr } = await user.run(['login', world.gatehouse.url, ...wrong])
    expect([code, await user.windows()]).toEqual([6, []])
    expect(stderr).toContain('does not have the fingerprint')
  })

  test.for([
    [
      ['--ca-fingerprint', 'sha256:00'],
      2,
      '--ca-fingerprint sha256:00: it must be a SHA-256 fingerprint',
    ],
    [['--ca-file', '/nonexistent.crt'], 7, 'cannot read /nonexistent.crt: it does not exist'],
    [['--password-stdin'], 2, 'the default sign-in method does not take a password'],
  ] as const)('%j fails before a window opens', async ([args, expected, message]) => {
    const user = await world.user()
    const trust = args[0] === '--password-stdin' ? ['--ca-fingerprint', fingerprint()] : []
    const { code, stdout, stderr } = await user.run([
      ...['login', world.gatehouse.url],
      ...[...trust, ...args],
    ])
    expect([code, stdout, await user.windows()]).toEqual([expected, '', []])
    expect(stderr).toContain(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  test('a CA from a file must be the one of the server, and only certificates of it are kept', async () => {
    const user = await world.user()
    const file = join(user.home, 'ca.pem')
    await writeFile(
      file,
      `-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n${world.gatehouse.ca}`,
    )
    expect(await user.run(['login', world.gatehouse.url, '--ca-file', file])).toMatchObject({
      code: 0,
    })
    const { clusters } = parse(await readFile(configOf(user), 'utf8')) as {
      clusters: [{ cluster: Record<string, string> }]
    }
    const data = Buffer.from(clusters[0].cluster['certificate-authority-data'] ?? '', 'base64')
    expect(data.toString()).not.toContain('PRIVATE')
    const other = await world.user()
    const { code, stderr } = await other.run([
      'login',
      world.gatehouse.url,
      '--ca-file',
      world.providerCAFile,
    ])
    expect([code, stderr]).toEqual([6, expect.stringContaining('not signed by the CA')])
  })

  test('a canceled sign-in leaves the kubeconfig as it was', async () => {
    const user = await world.user('')
    await mkdir(join(user.home, '.kube'))
    await writeFile(configOf(user), '# mine\nkind: Config\n')
    expect(await login(user)).toMatchObject({ code: 4, stdout: '' })
    expect(await readFile(configOf(user), 'utf8')).toBe('# mine\nkind: Config\n')
  })

  test('a read-only kubeconfig is reported before anybody signs in', async () => {
    const user = await world.user()
    await mkdir(join(user.home, '.kube'))
    await writeFile(configOf(user), 'kind: Config\n', { mode: 0o444 })
    const { code, stderr } = await login(user)
    expect([code, await user.windows()]).toEqual([7, []])
    expect(stderr).toMatch(/^gatehouse: cannot write .*: the file is read-only: chmod u\+w/)
    await chmod(configOf(user), 0o600)
  })

  test('a second account and several files live side by side', async () => {
    const user = await world.user()
    await login(user)
    const heidi = await user.run(
      ['login', world.gatehouse.url, '--account', 'heidi', '--output', 'json'],
      {
        BROWSER_ACCOUNT: 'heidi',
        KUBECONFIG: `${join(user.home, 'other')}:${configOf(user)}`,
      },
    )
    expect(JSON.parse(heidi.stdout)).toMatchObject({
      username: 'oidc:heidi',
      context: 'lab-heidi',
      path: configOf(user),
    })
    expect(await user.run(['whoami', '--output', 'json'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('oidc:heidi') as string,
    })
    const grace = await user.run([
      'whoami',
      world.gatehouse.url,
      '--account',
      '',
      '--output',
      'yaml',
    ])
    expect(parse(grace.stdout)).toMatchObject({ username: 'oidc:grace', requests: 'accepted' })
  })

  test.for([
    ['http://gatehouse.example', 6, /must begin with https/],
    ['https://', 2, /is not a URL/],
    ['https://127.0.0.1:1', 5, /cannot reach https:\/\/127.0.0.1:1: connection refused/],
    ['https://gatehouse.invalid', 5, /cannot reach .*: its name/],
  ] as const)('the URL %s is one line', async ([url, exitCode, message]) => {
    const user = await world.user()
    const { code, stdout, stderr } = await user.run(['login', url])
    expect([code, stdout]).toEqual([exitCode, ''])
    expect(stderr).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  test('an issuer that is not one is not taken for Gatehouse', async () => {
    const user = await world.user()
    const { code, stderr } = await user.run([
      'login',
      world.provider.issuer,
      '--ca-file',
      world.providerCAFile,
    ])
    expect([code, stderr]).toEqual([5, expect.stringContaining('is not a Gatehouse')])
  })

  test('a kuberc that does not list the plugin is reported', async () => {
    const user = await world.user()
    await mkdir(join(user.home, '.kube'))
    await writeFile(
      join(user.home, '.kube/kuberc'),
      'credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{name: aws}]\n',
    )
    expect((await login(user)).stderr).toContain('credentialPluginAllowlist:\n- command: ')
  })

  test('help has examples for every command', async () => {
    const user = await world.user()
    const users = ['login', 'logout', 'whoami', 'lock', 'unlock', 'locks', 'kubeconfig']
    for (const name of [...users, 'get-token', 'completion', 'serve', 'validate']) {
      const { code, stdout } = await user.run([name, '--help'])
      expect([code, stdout]).toEqual([0, expect.stringMatching(/\nExamples?:\n {2}\S/)])
    }
  })
})

test('the help of the plugin has all of its options', async () => {
  const user = await world.user()
  const { stdout } = await user.run(['get-token', '--help'])
  const [, options = ''] = stdout.split('Options:')
  const listed = [...options.matchAll(/^ {2}--([a-z-]+)/gm)].map(([, name]) => name)
  const known = [...NAMES, ...FLAGS.map((flag) => flag.slice(2))]
  expect(listed.toSorted()).toEqual(known.toSorted())
})

describe('gatehouse whoami', () => {
  test('shows what Gatehouse sees, and where requests are refused', async () => {
    const user = await world.user()
    await login(user)
    const { stdout } = await user.run(['whoami'])
    expect(stdout).toMatch(/^User +oidc:grace$/m)
    expect(stdout).toMatch(/^Groups +oidc:engineers, system:authenticated$/m)
    expect(stdout).toMatch(/^Signed in by +oidc: https:/m)
    expect(stdout).toMatch(/^Token expires +\d{4}-/m)
  })

  test('needs a sign-in, and never opens a window', async () => {
    const user = await world.user()
    expect(await user.run(['whoami', world.gatehouse.url])).toMatchObject({ code: 3, stdout: '' })
    expect(await user.run(['whoami'])).toEqual({
      ...{ code: 2, stdout: '' },
      stderr:
        'gatehouse: no context of the kubeconfig signs in with gatehouse: run gatehouse login URL, or name the URL of a Gatehouse\n',
    })
    expect(await user.windows()).toEqual([])
  })

  test('in another context, says which ones there are', async () => {
    const user = await world.user()
    await mkdir(join(user.home, '.kube'))
    const other =
      'contexts:\n- name: other\n  context: {cluster: c, user: u}\ncurrent-context: other\n'
    await writeFile(configOf(user), other)
    await login(user, '--no-switch-context')
    const { code, stderr } = await user.run(['whoami'])
    expect([code, stderr]).toEqual([
      2,
      'gatehouse: the current context of the kubeconfig does not sign in with gatehouse: run kubectl config use-context lab, or name the URL of a Gatehouse\n',
    ])
    expect(await user.run(['logout'])).toMatchObject({ code: 2, stderr })
  })

  test('a token that Gatehouse does not accept has an exit code of its own', async () => {
    const user = await world.user()
    await login(user)
    const directory = join(user.home, '.cache/gatehouse/sign-in')
    const [name = ''] = await sessionsOf(user)
    const text = await readFile(join(directory, name), 'utf8')
    await writeFile(join(directory, name), text.replace(/"token":"[^"]+"/, '"token":"a.b.c"'))
    const { code, stdout, stderr } = await user.run(['whoami'])
    expect([code, stdout]).toEqual([8, ''])
    expect(stderr).toMatch(/refused by Gatehouse .*: Unauthorized; .* Audit-ID [0-9a-f-]{36}/)
  })
})

describe('gatehouse logout', () => {
  test('revokes the sign-in at the issuer, and removes only its own', async () => {
    const user = await world.user()
    await mkdir(join(user.home, '.kube'))
    await writeFile(configOf(user), 'users:\n- name: mine # mine\n  user: {token: x}\n')
    await login(user)
    const [session = ''] = await sessionsOf(user)
    const file = join(user.home, '.cache/gatehouse/sign-in', session)
    const kept = await readFile(file, 'utf8')
    expect(await user.run(['logout'])).toEqual({
      code: 0,
      stdout:
        `Signed out of ${world.gatehouse.url}; removed the context lab\n` +
        'Your browser may still be signed in at the issuer: sign out there as well on a machine that others use.\n' +
        `Sign in again with: gatehouse login ${world.gatehouse.url}\n`,
      stderr: '',
    })
    expect(await sessionsOf(user)).toEqual([])
    expect(parse(await readFile(configOf(user), 'utf8'))).toMatchObject({
      clusters: [],
      contexts: [],
      users: [{ name: 'mine', user: { token: 'x' } }],
    })
    // Whoever has copied the cache has a refresh token that is not accepted any more.
    await writeFile(file, kept.replace(/"renewAt":\d+/, '"renewAt":1'))
    expect(await user.plugin({ interactive: false })).toMatchObject({ code: 3 })
  })

  test('says that kubectl has no current context any more, and which there are', async () => {
    const user = await world.user()
    await mkdir(join(user.home, '.kube'))
    const other = 'contexts:\n- name: other\n  context: {cluster: c, user: u}\n'
    await writeFile(configOf(user), other)
    await login(user)
    const { stdout } = await user.run(['logout'])
    expect(stdout).toContain('kubectl has no current context now')
    expect(stdout).toContain('kubectl config use-context NAME\nContexts: other\n')
  })

  test('without a sign-in says so', async () => {
    const user = await world.user()
    expect(await user.run(['logout', world.gatehouse.url])).toMatchObject({
      code: 0,
      stdout: `Not signed in at ${world.gatehouse.url}\n`,
    })
  })

  test('waits for a renewal, which would write the sign-in again', async () => {
    const user = await world.user()
    await login(user)
    const [session = ''] = await sessionsOf(user)
    const file = join(user.home, '.cache/gatehouse/sign-in', session)
    // This process stands in for a plugin that is renewing the token.
    const lock = await takeLock({ name: file, timeout: 1_000 })
    const ended = user.run(['logout'])
    // By then, it would long have ended.
    expect(await Promise.race([ended, sleep(5_000, 'waits')])).toBe('waits')
    expect(await sessionsOf(user)).toEqual([session])
    await writeFile(file, await readFile(file, 'utf8'))
    lock.release()
    expect(await ended).toMatchObject({ code: 0 })
    expect(await sessionsOf(user)).toEqual([])
  })

  test('a sign-in that the keyring does not give is removed, and reported', async () => {
    const user = await world.user()
    await login(user)
    const [session = ''] = await sessionsOf(user)
    const file = join(user.home, '.cache/gatehouse/sign-in', session)
    const stored = JSON.parse(await readFile(file, 'utf8')) as object
    await writeFile(file, JSON.stringify({ ...stored, secrets: { sealed: 'x' } }))
    const { code, stderr } = await user.run(['logout'])
    expect([code, stderr]).toEqual([5, expect.stringContaining('not revoked at the issuer')])
    expect(await sessionsOf(user)).toEqual([])
  })

  test('a sign-in that cannot be revoked is removed, and reported', async () => {
    const user = await world.user()
    await login(user)
    const directory = join(user.home, '.cache/gatehouse/sign-in')
    const [name = ''] = await sessionsOf(user)
    const text = await readFile(join(directory, name), 'utf8')
    const broken = text.replace(
      '"discoveryURL":""',
      '"discoveryURL":"https://127.0.0.1:1/.well-known/x"',
    )
    await writeFile(join(directory, name), broken)
    const { code, stderr } = await user.run(['logout'])
    expect([code, stderr]).toEqual([5, expect.stringContaining('not revoked at the issuer')])
    expect(await sessionsOf(user)).toEqual([])
  })
})

describe('gatehouse kubeconfig', () => {
  const trust = () => ['--ca-fingerprint', fingerprint()]

  test('is the same for every user, and names the plugin', async () => {
    const user = await world.user()
    const { stdout } = await user.run(['kubeconfig', world.gatehouse.url, ...trust()])
    expect(parse(stdout)).toMatchObject({
      'current-context': 'lab',
      users: [
        {
          user: {
            exec: { command: 'gatehouse', args: ['get-token', `--server=${world.gatehouse.url}`] },
          },
        },
      ],
    })
    expect(await user.windows()).toEqual([])
    await expect(stat(configOf(user))).rejects.toThrow('ENOENT')
  })

  test('for kubelogin has the issuer, the client and the scopes', async () => {
    const user = await world.user()
    const args = ['kubeconfig', world.gatehouse.url, ...trust(), '--flavor', 'kubelogin']
    const { users } = parse((await user.run(args)).stdout) as {
      users: [{ user: { exec: { args: string[] } } }]
    }
    expect(users[0].user.exec.args).toEqual(
      expect.arrayContaining([
        `--oidc-issuer-url=${world.provider.issuer}`,
        `--oidc-client-id=${world.provider.commandLineClientId}`,
        '--oidc-extra-scope=groups',
      ]),
    )
  })

  test('--merge does not sign in', async () => {
    const user = await world.user()
    const args = ['kubeconfig', world.gatehouse.url, ...trust(), '--merge', '--no-switch-context']
    expect(await user.run(args)).toMatchObject({ code: 0, stderr: '' })
    expect(parse(await readFile(configOf(user), 'utf8'))).not.toHaveProperty('current-context')
  })
})

test('a public client that the issuer wants a secret of signs in, renews its token and signs out', async () => {
  const { provider, providerCA } = world
  const { id, secret } = provider.desktopClient
  const method = { clientID: id, publishedClientSecret: secret }
  const desktop = await startSignInWorld({
    ...{ provider, providerCA, method },
    signIn: { caFile: 'serving-ca.crt' },
  })
  onTestFinished(() => desktop.close())
  const user = await desktop.user()
  const trust = ['--ca-fingerprint', new X509Certificate(desktop.gatehouse.ca).fingerprint256]
  const login = ['login', desktop.gatehouse.url, ...trust]
  expect(await user.run(login, { BROWSER_CA: world.providerCAFile })).toMatchObject({ code: 0 })

  const directory = join(user.home, '.cache/gatehouse/sign-in')
  const file = join(directory, (await sessionsOf(user))[0] ?? '')
  const kept = await readFile(file, 'utf8')
  await writeFile(file, kept.replace(/"renewAt":\d+/, '"renewAt":1'))
  expect(await user.plugin({ interactive: false })).toMatchObject({ code: 0, stderr: '' })
  expect(await readFile(file, 'utf8')).not.toContain('"renewAt":1,')
  expect(await user.windows()).toHaveLength(1)

  const args = ['kubeconfig', desktop.gatehouse.url, ...trust, '--flavor', 'kubelogin']
  const asKubelogin = await user.run(args)
  expect(asKubelogin.stdout).toContain(`--oidc-client-secret=${secret}`)
  expect(await user.run(['logout'])).toMatchObject({ code: 0, stderr: '' })
})

describe('a server that names the client of another one', () => {
  test('is trusted once, on the word of the user', async () => {
    const other = await startSignInWorld({
      signIn: { caFile: 'serving-ca.crt' },
      provider: world.provider,
      providerCA: world.providerCA,
    })
    onTestFinished(() => other.close())
    const user = await world.user()
    await login(user)
    const trust = ['--ca-fingerprint', new X509Certificate(other.gatehouse.ca).fingerprint256]
    const args = ['login', other.gatehouse.url, ...trust, '--context', 'other']
    expect(await user.run(args)).toMatchObject({
      code: 6,
      stderr: expect.stringContaining('--accept-shared-client') as string,
    })
    expect(await user.run([...args, '--accept-shared-client'])).toMatchObject({ code: 0 })
    expect(await user.run(args)).toMatchObject({ code: 0 })
  })
})

test.for(['bash', 'zsh', 'fish'] as const)('%s completes commands and options', async (shell) => {
  const has = await command('which', [shell])
  if (has.code !== 0) {
    process.stderr.write(`${shell} is not installed: its completion is not tested\n`)
    return
  }
  const user = await world.user()
  const { stdout: script } = await user.run(['completion', shell])
  const file = join(user.home, 'completion')
  await writeFile(file, script)
  const scripts = {
    bash: `source ${file}; COMP_WORDS=(gatehouse lo); COMP_CWORD=1; _gatehouse; echo "\${COMPREPLY[@]}"
      COMP_WORDS=(gatehouse login --output ''); COMP_CWORD=3; _gatehouse; echo "\${COMPREPLY[@]}"
      COMP_WORDS=(gatehouse validate --output ''); COMP_CWORD=3; _gatehouse; echo "\${COMPREPLY[@]}"`,
    zsh: `autoload -U compinit; compinit -u; source ${file}; functions _gatehouse`,
    fish: `source ${file}; complete -C 'gatehouse lo'; complete -C 'gatehouse login --output '`,
  }
  const { code, stdout, stderr } = await command(shell, ['-c', scripts[shell]], { env: user.env })
  expect([code, stderr]).toEqual([0, ''])
  for (const word of ['login', 'logout', 'json', 'yaml']) expect(stdout).toContain(word)
})

describe.skipIf(!inject('hasParts'))('a real kubectl', () => {
  const namespace = newNamespace()
  let cluster: Cluster
  let site: SignInWorld

  beforeAll(async () => {
    cluster = await joinCluster({ namespace, pod: false })
    site = await startSignInWorld({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      signIn: { caFile: 'serving-ca.crt' },
    })
  })
  afterAll(async () => {
    await site.close()
    await cluster.stop()
  })

  /** A user with an empty home directory and a kubeconfig that has only the exec stanza. */
  async function newUser(at: SignInWorld = site) {
    const { gatehouse } = at
    const user = await at.user()
    const trust = ['--ca-fingerprint', new X509Certificate(gatehouse.ca).fingerprint256]
    const args = ['kubeconfig', gatehouse.url, ...trust, '--namespace', namespace]
    const kubeconfig = join(user.home, 'kubeconfig')
    await writeFile(kubeconfig, (await user.run(args)).stdout)
    const bin = join(user.home, 'bin')
    await mkdir(bin)
    const program = `#!/bin/sh\nexec ${process.execPath} ${START} "$@"\n`
    await writeFile(join(bin, 'gatehouse'), program, { mode: 0o755 })
    await writeFile(join(bin, 'kubectl-gatehouse'), program, { mode: 0o755 })
    const env = { ...user.env, PATH: `${bin}:${user.env['PATH'] ?? ''}`, KUBECONFIG: kubeconfig }
    const words = (args: readonly string[]) => [cluster.controlPlane.kubectl, ...args].join(' ')
    return {
      ...user,
      kubectl: (args: readonly string[]) =>
        command(cluster.controlPlane.kubectl, args, { cwd: user.home, env }),
      start: (args: readonly string[]) =>
        startProgram(cluster.controlPlane.kubectl, args, { cwd: user.home, env }),
      inTerminal: (args: readonly string[]) =>
        startProgram('script', ['-qec', words(args), '/dev/null'], { cwd: user.home, env }),
    }
  }

  test('in a terminal, the first command signs in, and later ones just work', async () => {
    const user = await newUser()
    const first = user.inTerminal(['auth', 'whoami'])
    await first.until(/oidc:grace/)
    expect(await first.ended).toMatchObject({ code: 0 })
    expect(await user.windows()).toHaveLength(1)
    const { code, stdout, stderr } = await user.kubectl(['get', 'configmaps', '-o', 'name'])
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: 'configmap/kube-root-ca.crt\n',
      stderr: '',
    })
    expect(await user.windows()).toHaveLength(1)
  })

  test('without a terminal, it fails in one line that says what to run', async () => {
    const user = await newUser()
    const { code, stderr } = await user.kubectl(['get', 'pods'])
    expect(code).not.toBe(0)
    expect(stderr).toContain(`gatehouse: not signed in: run gatehouse login ${site.gatehouse.url}`)
    expect(await user.windows()).toEqual([])
  })

  test('kubectl gatehouse runs the same commands', async () => {
    const user = await newUser()
    const { code, stdout } = await user.kubectl(['gatehouse', '--help'])
    expect([code, stdout]).toEqual([0, expect.stringContaining('whoami')])
  })

  test('a program that watches gets a new token in the middle of it', async () => {
    const short = await startSignInWorld({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      signIn: { caFile: 'serving-ca.crt' },
      authentication: { streams: { onExpiry: 'end' } },
      idTokenSeconds: 30,
    })
    onTestFinished(() => short.close())
    const user = await newUser(short)
    await user.inTerminal(['auth', 'whoami']).until(/oidc:grace/)
    expect(await user.kubectl(['create', 'configmap', 'waits'])).toMatchObject({ code: 0 })
    const endedWatches = async (): Promise<number> =>
      (await short.gatehouse.events()).filter(
        ({ verb, stage }) => verb === 'watch' && stage === 'ResponseComplete',
      ).length
    // The informer of client-go, which k9s and controllers have as well.
    const forever = ['--for=jsonpath={.data.done}=yes', '--timeout=5m']
    const waiting = user.start(['wait', ...forever, 'configmap/waits'])
    const renewals = short.provider.requests.get('/token') ?? 0
    // Gatehouse ends the watch with its token. Client-go begins another one in the same process.
    await expect.poll(endedWatches, PATIENT).toBeGreaterThan(0)
    const patch = JSON.stringify({ data: { done: 'yes' } })
    expect(await user.kubectl(['patch', 'configmap', 'waits', '-p', patch])).toMatchObject({
      code: 0,
    })
    expect(await waiting.ended).toMatchObject({
      ...{ code: 0, stdout: 'configmap/waits condition met\n' },
    })
    expect(short.provider.requests.get('/token')).toBeGreaterThan(renewals)
    expect(await user.windows()).toHaveLength(1)
  })

  test('forty at once with an expired token make one refresh, and open no window', async () => {
    const user = await newUser()
    await user.inTerminal(['auth', 'whoami']).until(/oidc:grace/)
    const directory = join(user.home, '.cache/gatehouse/sign-in')
    const [name = ''] = await sessionsOf(user)
    const text = await readFile(join(directory, name), 'utf8')
    const expired = text
      .replace(/"renewAt":\d+/, '"renewAt":1')
      .replace(/"expiresAt":\d+/, '"expiresAt":2')
    await writeFile(join(directory, name), expired)
    const before = site.provider.requests.get('/token') ?? 0
    const runs = await Promise.all(
      Array.from({ length: 40 }, () => user.kubectl(['get', 'configmaps', '-o', 'name'])),
    )
    const failed = runs.filter(({ code }) => code !== 0)
    expect(failed).toEqual([])
    expect(site.provider.requests.get('/token')).toBe(before + 1)
    expect(await user.windows()).toHaveLength(1)
  })
})

import { access, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { command } from '../support/command.ts'
import { replaceFile } from '../support/files.ts'
import { hasRedis } from '../support/redis.ts'
import {
  callAs,
  checkout,
  eventually,
  firstRun,
  pathWithKubectl,
  summaryOf,
  type FirstRun,
  type Summary,
} from './first-run.ts'

const reviews = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
const serviceProxy = '/api/v1/namespaces/default/services/web:80/proxy/'
const root = resolve(import.meta.dirname, '../..')
const path = await pathWithKubectl()

function started(args: readonly string[], before?: readonly [string, ...string[]]): FirstRun {
  const run = firstRun(args, before)
  onTestFinished(async () => {
    run.child.kill('SIGTERM')
    await run.ended
  })
  return run
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

describe('npm start with --output json', () => {
  let run: FirstRun
  let summary: Summary
  beforeAll(async () => {
    run = firstRun(['--output', 'json'])
    summary = await summaryOf(run)
  })
  afterAll(async () => {
    run.child.kill('SIGTERM')
    await run.ended
  })

  test('prints one line with all URLs and files', async () => {
    const folder = dirname(summary.audit)
    expect(summary).toEqual({
      ready: true,
      notReady: [],
      url: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/) as unknown,
      pages: expect.stringMatching(/^https:\/\/login\.localhost:\d+$/) as unknown,
      ca: join(folder, 'certificates', 'ca.crt'),
      probes: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as unknown,
      rules: join(folder, 'rules.yaml'),
      audit: join(folder, 'audit.log'),
      users: [
        {
          username: 'ada',
          groups: ['developers'],
          kind: 'x509',
          kubeconfig: join(folder, 'ada.kubeconfig'),
        },
        {
          username: 'oidc:grace',
          groups: ['oidc:developers'],
          kind: 'oidc',
          kubeconfig: join(folder, 'grace.kubeconfig'),
        },
      ],
    })
    const { ca, rules, audit, users } = summary
    for (const file of [ca, rules, audit, ...users.map(({ kubeconfig }) => kubeconfig)]) {
      expect(await exists(file)).toBe(true)
    }
    expect([run.lines.length, run.stderr()]).toEqual([1, ''])
  })

  test('is ready when it has printed the line', async () => {
    const { statusCode, body } = await request(`${summary.probes}/readyz?verbose`)
    expect([statusCode, await body.text()]).toEqual([
      200,
      expect.stringContaining(
        '[+]upstream-rejects-anonymous ok\n[+]upstream-asserts-identity ok\n',
      ),
    ])
  })

  test.for([0, 1])('passes the identity of user %i to the API server', async (index) => {
    const { username, groups, kubeconfig } = summary.users[index]!
    const review = await callAs(kubeconfig, reviews, { method: 'POST', body: '{}' })
    expect([review.code, review.json['status']]).toMatchObject([
      201,
      { userInfo: { username, groups: [...groups, 'system:authenticated'] } },
    ])
    // Audit events reach the file shortly after the response.
    await eventually(async () => (await audited()).includes(username))
  })

  async function audited(): Promise<readonly string[]> {
    const lines = (await readFile(summary.audit, 'utf8')).split('\n').slice(0, -1)
    return lines.map((line) => (JSON.parse(line) as { user: { username: string } }).user.username)
  }

  test.for([0, 1])('lets user %i read, but not use the service proxy', async (index) => {
    const { kubeconfig } = summary.users[index]!
    expect((await callAs(kubeconfig, '/api/v1/pods')).code).toBe(200)
    const denied = await callAs(kubeconfig, serviceProxy)
    expect([denied.code, denied.json['message']]).toEqual([
      403,
      expect.stringContaining('"no-proxy-subresources"'),
    ])
  })

  test('refuses a request with an invalid token', async () => {
    const { ca } = summary
    const unauthenticated = join(dirname(ca), 'unauthenticated.kubeconfig')
    const cluster = {
      server: summary.url,
      'certificate-authority-data': (await readFile(ca)).toString('base64'),
    }
    const config = { clusters: [{ cluster }], users: [{ user: { token: 'a.b.c' } }] }
    await writeFile(unauthenticated, JSON.stringify(config))
    expect((await callAs(unauthenticated, '/api/v1/pods')).code).toBe(401)
  })

  test('can run a second time with the API server of the first run', async () => {
    const upstream = join(dirname(summary.audit), 'upstream.kubeconfig')
    const second = started(['--kubeconfig', upstream])
    await second.until((line) => line.startsWith('Ctrl-C'))
    expect(second.lines.join('\n')).toContain(
      'kubectl --kubeconfig YOUR-ADMIN-KUBECONFIG create clusterrolebinding gatehouse-development --clusterrole=view --user=ada --user=oidc:grace',
    )
    const kubeconfig = / (\S+grace\.kubeconfig) auth whoami$/.exec(
      second.lines.find((line) => line.endsWith('auth whoami')) ?? '',
    )?.[1]
    expect(dirname(kubeconfig ?? '')).not.toBe(dirname(upstream))
    expect((await callAs(kubeconfig ?? '', '/api/v1/pods')).code).toBe(200)
    second.child.kill('SIGINT')
    expect(await second.ended).toBe(0)
    expect((await callAs(summary.users[0]!.kubeconfig, '/api/v1/pods')).code).toBe(200)
  })

  test('loads edited rules', async () => {
    const { kubeconfig } = summary.users[0]!
    await edit('apiVersion: gatehouse/v1\nkind: AccessRules\ndefault: deny\nrules: []\n')
    await eventually(async () => (await callAs(kubeconfig, '/api/v1/pods')).code === 403)
    expect((await callAs(kubeconfig, '/version')).code).toBe(403)
    const [warning, ...rest] = run.stderr().split('\n')
    expect(warning).toContain('tests: has no tests, but the version before it had 3')
    expect(rest).toEqual(['rules: reloaded', ''])
  })

  test('reports an error in edited rules, and keeps the earlier ones', async () => {
    const before = run.stderr().length
    await edit('apiVersion: gatehouse/v1\nkind: AccessRules\nrules: []\nrulez: []\n')
    await eventually(async () => run.stderr().length > before)
    expect(run.stderr().slice(before)).toBe(
      'rules: reload failed; the last good version stays in effect\n' +
        `  ${summary.rules}:4:1: rulez: unknown field (did you mean rules?)\n`,
    )
    expect((await callAs(summary.users[0]!.kubeconfig, '/version')).code).toBe(403)
  })

  const edit = (text: string): Promise<void> => replaceFile(summary.rules, text)
})

describe('npm start without options', () => {
  test.skipIf(path === undefined)(
    'prints a sign-in and kubectl commands that do what it says',
    async () => {
      const run = started([])
      await run.until((line) => line.startsWith('Ctrl-C'))
      const lines = run.lines.map((line) => line.trim()).filter((line) => /^\S*kubectl /.test(line))
      const folder = dirname(/\S+ada\.kubeconfig/.exec(run.lines.join('\n'))?.[0] ?? '')
      const [, caFile = ''] = /--ca-file (\S+)/.exec(run.lines.join('\n')) ?? []
      const home = await mkdtemp(join(tmpdir(), 'gatehouse-home-'))
      onTestFinished(() => rm(home, { recursive: true }))
      const env = {
        PATH: path,
        HOME: home,
        BROWSER: `${process.execPath} ${join(root, 'test/support/browser.ts')}`,
        BROWSER_LOG: join(folder, 'windows'),
        BROWSER_ACCOUNT: 'grace',
        BROWSER_CA: caFile,
      }
      const find = (text: string): string => run.lines.find((line) => line.includes(text)) ?? ''
      const exported = find('export KUBECONFIG=')
      const shell = (line: string, cwd: string) =>
        command('/bin/sh', ['-c', `${exported}\n${line}`], { env, cwd })
      expect(await shell(find('gatehouse -- login'), root)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('Signed in as  oidc:grace') as unknown,
      })
      const [own, pods, whoami, proxy, ...more] = await Promise.all(
        lines.map((line) => shell(line, folder)),
      )
      // npm writes its own cache and logs there.
      expect((await readdir(home)).filter((name) => name !== '.npm')).toEqual([])
      expect(own).toMatchObject({ code: 0, stdout: pods?.stdout })
      expect(pods).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^default +web +1\/1 +Running/m) as unknown,
      })
      expect(whoami).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^Username +oidc:grace$/m) as unknown,
      })
      expect(proxy).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          /^Error from server \(Forbidden\): .*kubectl port-forward/,
        ) as unknown,
      })
      expect(more).toEqual([])
      run.child.kill('SIGTERM')
      expect(await run.ended).toBe(0)
      expect(await exists(folder)).toBe(false)
    },
  )
})

describe('npm start', () => {
  test('leaves nothing behind after Ctrl-C, even if that comes twice', async () => {
    const run = started(['--output', 'json'])
    const { audit } = await summaryOf(run)
    run.child.kill('SIGINT')
    run.child.kill('SIGINT')
    expect([await run.ended, run.stderr()]).toEqual([0, ''])
    expect(await exists(dirname(audit))).toBe(false)
  })

  test('leaves nothing behind after a signal during the start', async () => {
    const run = started(['--output', 'json'])
    let folder = ''
    await eventually(async () => {
      folder = (await folderOf(run.child.pid ?? 0)) ?? ''
      return folder !== ''
    })
    run.child.kill('SIGTERM')
    expect([await run.ended, run.lines]).toEqual([0, []])
    expect(await exists(folder)).toBe(false)
  })

  test('leaves nothing behind when only npm receives the signal', async () => {
    const run = started(['--output', 'json'], ['npm', 'start', '--silent', '--'])
    const { audit } = await summaryOf(run)
    run.child.kill('SIGTERM')
    await eventually(async () => !(await exists(dirname(audit))))
    expect(run.stderr()).toBe('')
  })

  async function folderOf(pid: number): Promise<string | undefined> {
    const parent = join(checkout, '.gatehouse')
    for (const name of await readdir(parent).catch(() => [])) {
      const owner = await readFile(join(parent, name, 'owner'), 'utf8').catch(() => '')
      if (owner.startsWith(`${pid} `)) return join(parent, name)
    }
    return undefined
  }
})

describe('npm start fails', () => {
  test('when a port is in use, and leaves nothing behind', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void taken.close())
    const { port } = taken.address() as AddressInfo
    const run = started(['--port', String(port)])
    expect([await run.ended, run.lines]).toEqual([1, []])
    expect(run.stderr()).toBe(
      `cannot start: listener: 127.0.0.1:${port} is already in use ` +
        '(stop the process that listens there, or choose another --port)\n',
    )
  })

  test('when a control plane has no parts and no Go', async () => {
    const without = ['PATH=/nowhere', 'GATEHOUSE_CACHE=/nowhere', 'KUBEBUILDER_ASSETS=']
    const run = started(['--cluster'], ['env', ...without, process.execPath, 'dev/start.ts'])
    expect([await run.ended, run.lines]).toEqual([1, []])
    expect(run.stderr()).toContain(
      'cannot start: the first run with --cluster builds kube-apiserver and etcd and needs Go 1.26.0 or newer on the PATH',
    )
  })

  test.for([
    {
      args: ['--kubeconfig', '/nowhere/config'],
      message: 'cannot start: --kubeconfig: /nowhere/config does not exist',
    },
    { args: ['--kubeconfig', 'a', '--cluster'], message: "cannot be used with option '--cluster'" },
    { args: ['--port', '70000'], message: 'must be a port number from 0 to 65535' },
    { args: ['--output', 'xml'], message: 'Allowed choices are text, json' },
  ])('with the arguments $args', async ({ args, message }) => {
    const run = started(args)
    expect([await run.ended, run.lines]).toEqual([1, []])
    expect(run.stderr()).toContain(message)
  })
})

describe('npm start with --redis', () => {
  const textOf = async (url: string) => (await request(url)).body.text()

  test.skipIf(!hasRedis)('starts two replicas that share Redis', async () => {
    const run = started(['--redis', '--output', 'json'])
    const summary = await summaryOf(run)
    expect(summary).toMatchObject({
      ready: true,
      notReady: [],
      second: expect.any(Object) as object,
    })
    const { probes = '', redisPort = 0 } = summary.second ?? {}
    for (const each of [summary.probes, probes]) {
      await expect.poll(() => textOf(`${each}/readyz?verbose`)).toContain('[+]redis ok\n')
    }
    await expect
      .poll(() => textOf(`${probes}/metrics`))
      .toContain('gatehouse_state_replicas{type="redis"} 2')
    run.child.kill('SIGTERM')
    expect(await run.ended).toBe(0)
    await expect(request(`http://127.0.0.1:${redisPort}`)).rejects.toThrow(/ECONNREFUSED/)
  })

  test('says what to install where there is no Redis', async () => {
    const run = started(['--redis'], ['env', 'PATH=/nowhere', process.execPath, 'dev/start.ts'])
    expect(await run.ended).toBe(1)
    expect(run.stderr()).toBe(
      'cannot start: --redis: there is no redis-server on your PATH ' +
        '(on Debian or Ubuntu, run: sudo apt-get install redis-server)\n',
    )
  })
})

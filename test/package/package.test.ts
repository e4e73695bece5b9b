import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'
import { createSigningKey, startIssuer, type TestIssuer } from '../authentication/oidc/issuer.ts'
import { command, output, type CommandResult } from '../support/command.ts'
import { asNode } from '../support/older-node.ts'
import { evaluatedPackages } from '../support/evaluated-packages.ts'
import { nodeFirst, packPackage } from '../support/package.ts'
import { startProgram } from '../support/program.ts'
import { writeConfigurations } from './configuration.ts'

const root = resolve(import.meta.dirname, '../..')
const env = nodeFirst
let folder = ''
let tarball = ''

/** Installs the tarball globally into an empty prefix, as a user would. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-package-'))
  tarball = await packPackage(folder)
  const elsewhere = join(folder, 'elsewhere')
  await mkdir(elsewhere)
  const install = ['install', '--global', '--prefix', prefix(), '--prefer-offline', '--no-audit']
  await output('npm', [...install, tarball], { cwd: elsewhere, env })
})

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the tarball of npm pack', () => {
  test('contains compiled JavaScript and documentation, and no development files', async () => {
    const files = (await output('tar', ['-tzf', tarball])).trim().split('\n')
    const folders = new Set(files.map((file) => file.split('/')[1]))
    expect(files).toContain('package/dist/main.js')
    expect(files).toContain('package/LICENSE')
    expect([...folders].toSorted()).toEqual(
      [...(await packageJson()).files, 'package.json'].toSorted(),
    )
  })

  test('does not contain sources, tests, certificates or keys', async () => {
    const files = (await output('tar', ['-tzf', tarball])).trim().split('\n')
    const unwanted =
      /\.ts$|\.test\.|\.map$|\.(?:crt|key|pem|p12|kubeconfig)$|\/(?:test|certs-dev)\//
    expect(files.filter((file) => unwanted.test(file))).toEqual([])
  })
})

describe('gatehouse installed globally', () => {
  test('is where the systemd unit looks for it, and serves as the unit starts it', async () => {
    const unit = await readFile(join(root, 'deploy/systemd/gatehouse@.service'), 'utf8')
    const [, line = ''] = /^ExecStart=(.*)$/m.exec(unit) ?? []
    const { good } = await writeConfigurations(folder)
    const text = await readFile(good, 'utf8')
    await writeFile(join(folder, 'one.yaml'), text.concat('probes: { port: 0 }\n'))
    const args = line
      .replaceAll('/usr/local/lib', join(prefix(), 'lib'))
      .replace('/etc/gatehouse/%i.yaml', join(folder, 'one.yaml'))
      .split(' ')
      .slice(1)
    const serving = startProgram(process.execPath, args, { cwd: folder, env })
    await serving.until(/"msg":"listening"/)
    void serving.stop('SIGUSR1')
    await sleep(500)
    const end = await serving.stop('SIGTERM')
    expect(end.code).toBe(0)
    expect(end.stderr).not.toContain('Debugger')
  })

  test('prints its version', async () => {
    expect(await gatehouse('--version')).toEqual({
      code: 0,
      stdout: `${(await packageJson()).version}\n`,
      stderr: '',
    })
  })

  test('is also a plugin of kubectl', async () => {
    const file = join(prefix(), 'bin', 'kubectl-gatehouse')
    const { code, stdout } = await command(file, ['--help'], { cwd: folder, env })
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^Usage: kubectl gatehouse /)])
  })

  test('has a credential plugin that loads neither the commands nor the server', async () => {
    const { code, stderr } = await command(join(prefix(), 'bin', 'gatehouse'), ['get-token'], {
      cwd: folder,
      env: { ...env, NODE_DEBUG: 'esm' },
    })
    expect(code).toBe(2)
    expect(stderr).toContain('--server=URL is required')
    expect(stderr).toContain('get-token.js')
    expect(stderr).not.toMatch(/(?:cli|client|gatehouse)\.c?js/)
  })

  test('uses its compile cache, and does not write to it', async () => {
    const { stderr } = await command(join(prefix(), 'bin', 'gatehouse'), ['--version'], {
      cwd: folder,
      env: { ...env, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' },
    })
    expect(stderr).toMatch(/code cache for ESM .*cli\.js was accepted/)
    expect(stderr).not.toContain('writing cache')
  })

  test('prints which Node it needs when it is run by an older one, and nothing else', async () => {
    const NODE_OPTIONS = asNode('20.20.2')
    const run = await command(join(prefix(), 'bin', 'gatehouse'), ['--version'], {
      cwd: folder,
      env: { ...env, NODE_OPTIONS },
    })
    expect(run).toEqual({
      code: 2,
      stdout: '',
      stderr: 'gatehouse requires Node.js 22.19 or newer; this is v20.20.2\n',
    })
  })

  test('validates a valid configuration with exit code 0', async () => {
    const { good } = await writeConfigurations(folder)
    expect(await gatehouse('validate', '--config', good)).toMatchObject({ code: 0, stderr: '' })
  })

  test('evaluates the library for Redis only with Redis, and neither pages nor proxies without them', async () => {
    const { good } = await writeConfigurations(folder)
    const text = (await readFile(good, 'utf8')).concat('probes: { port: 0 }\n')
    const served = async (name: string, configuration: string): Promise<string[]> => {
      const file = join(folder, `${name}.yaml`)
      const NODE_V8_COVERAGE = join(folder, `coverage-${name}`)
      await writeFile(file, configuration)
      const serving = startProgram(
        process.execPath,
        [join(published(), 'main.js'), 'serve', '--config', file],
        { cwd: folder, env: { ...env, NODE_V8_COVERAGE } },
      )
      // By then, it handles signals.
      await serving.until(/"msg":"the API server is not ready/)
      expect((await serving.stop('SIGTERM')).code).toBe(0)
      return evaluatedPackages(join(published(), 'gatehouse.cjs'), NODE_V8_COVERAGE)
    }
    const optional = ['ioredis', 'openid-client', 'undici']
    const without = await served('without', text)
    expect(without).toEqual(expect.arrayContaining(['jose', 'pino', 'zod']))
    expect(without.filter((name) => optional.includes(name))).toEqual([])
    await writeFile(join(folder, 'state-secret'), 'k'.repeat(64), { mode: 0o600 })
    const redis = { addresses: ['127.0.0.1:1'], secretFile: 'state-secret' }
    const state = stringify({ state: { type: 'redis', redis } })
    const withRedis = await served('redis', text.concat(state))
    expect(withRedis.filter((name) => optional.includes(name))).toEqual(['ioredis'])
  })

  test('fetches the keys of an issuer, without the library for proxies', async () => {
    const issuer = await startIssuer([(await createSigningKey('key')).publicJwk])
    onTestFinished(() => issuer.close())
    const { good } = await writeConfigurations(folder)
    const withIssuer = join(folder, 'issuer.yaml')
    await writeFile(join(folder, 'authentication.yaml'), authenticationOf(issuer))
    const text = (await readFile(good, 'utf8'))
      .replace('authentication:', 'authentication:\n  configFile: authentication.yaml')
      .concat('probes: { port: 0 }\n')
    await writeFile(withIssuer, text)
    const args = [join(published(), 'main.js'), 'serve', '--config', withIssuer]
    const NODE_V8_COVERAGE = join(folder, 'coverage-issuer')
    const serving = startProgram(process.execPath, args, {
      cwd: folder,
      env: { ...env, NODE_V8_COVERAGE },
    })
    await serving.until(/"probes":\{"host":"127\.0\.0\.1","port":\d+\}/)
    const port = /"probes":\{[^}]*"port":(\d+)/.exec(serving.stderr)?.[1] ?? ''
    const ready = () => fetch(`http://127.0.0.1:${port}/readyz?verbose`).then((r) => r.text())
    await expect.poll(ready).toContain(`[+]jwks ${issuer.url} ok`)
    expect(issuer.keySetFetches).toBeGreaterThan(0)
    await serving.stop('SIGTERM')
    const evaluated = await evaluatedPackages(join(published(), 'gatehouse.cjs'), NODE_V8_COVERAGE)
    expect(evaluated).toContain('jose')
    expect(evaluated).not.toContain('undici')
  })

  test('names the position of an error and exits with code 2', async () => {
    const { bad } = await writeConfigurations(folder)
    const { code, stderr } = await gatehouse('validate', '--config', bad)
    expect(code).toBe(2)
    expect(stderr).toContain(`${bad}:8`)
    expect(stderr).toContain('privateKeyFiel')
  })
})

function authenticationOf({ url, certificateAuthority }: TestIssuer): string {
  return stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: { url, certificateAuthority, audiences: ['gatehouse'] },
        claimMappings: { username: { claim: 'sub', prefix: 'oidc:' } },
      },
    ],
  })
}

function prefix(): string {
  return join(folder, 'prefix')
}

/** The directory of the published files. */
function published(): string {
  return join(prefix(), 'lib/node_modules/gatehouse/dist')
}

async function packageJson(): Promise<{ version: string; files: string[] }> {
  const json = await readFile(join(root, 'package.json'), 'utf8')
  return JSON.parse(json) as { version: string; files: string[] }
}

function gatehouse(...args: string[]): Promise<CommandResult> {
  return command(join(prefix(), 'bin', 'gatehouse'), args, { cwd: folder, env })
}

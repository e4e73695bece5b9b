/**
 * `gatehouse login --certificate`, the plugin that hands the certificate out and renews it, and a real kubectl
 * with it at a real API server.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest'

import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { command, type CommandResult } from '../support/command.ts'
import { startProgram } from '../support/program.ts'
import {
  startSignInWorld,
  type CommandLineUser,
  type SignInWorld,
} from '../support/sign-in-world.ts'

interface Stored {
  facts: Record<string, unknown>
  secrets: { token: string; certificate?: { certificate: string; key: string } }
}

const directoryOf = ({ home }: CommandLineUser) => join(home, '.cache/gatehouse/sign-in')

async function sessionFile(user: CommandLineUser): Promise<string> {
  const names = await readdir(directoryOf(user))
  return join(directoryOf(user), names.find((name) => name.endsWith('.json')) ?? '')
}

async function stored(user: CommandLineUser): Promise<Stored> {
  return JSON.parse(await readFile(await sessionFile(user), 'utf8')) as Stored
}

async function change(user: CommandLineUser, facts: Record<string, unknown>): Promise<void> {
  const session = await stored(user)
  Object.assign(session.facts, facts)
  await writeFile(await sessionFile(user), JSON.stringify(session))
}

function login(world: SignInWorld, user: CommandLineUser, ...args: readonly string[]) {
  const trust = ['--ca-fingerprint', new X509Certificate(world.gatehouse.ca).fingerprint256]
  return user.run(['login', world.gatehouse.url, ...trust, '--cache', 'file', ...args])
}

function withBrowserCA(user: CommandLineUser, file: string): CommandLineUser['run'] {
  return (args, env = {}) => user.run(args, { BROWSER_CA: file, ...env })
}

interface Status {
  readonly token?: string
  readonly clientCertificateData?: string
  readonly clientKeyData?: string
  readonly expirationTimestamp: string
}

function statusOf({ code, stdout, stderr }: CommandResult): Status {
  expect([code, stderr]).toEqual([0, ''])
  return (JSON.parse(stdout) as { status: Status }).status
}

describe('with an identity provider', () => {
  let world: SignInWorld

  beforeAll(async () => {
    world = await startSignInWorld({
      signIn: { caFile: 'serving-ca.crt', clusterName: 'lab' },
      issuing: { maxLifetime: '30m', maxSignInAge: '8h' },
    })
  })
  afterAll(() => world.close())

  const silent = (user: CommandLineUser) =>
    user.plugin({ interactive: false, args: ['--certificate', '--cache=file'] })

  test('login keeps certificate and key in the cache, and the plugin hands them out without a token', async () => {
    const user = await world.user()
    const { code, stdout } = await login(world, user, '--certificate')
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^Certificate until +\d{4}-/m)])
    expect((await stat(await sessionFile(user))).mode & 0o777).toBe(0o600)
    const config = await readFile(join(user.home, '.kube/config'), 'utf8')
    expect(config).toContain('--certificate')
    expect(config).not.toMatch(/client-certificate-data|PRIVATE KEY/)
    const status = statusOf(await silent(user))
    const certificate = new X509Certificate(status.clientCertificateData ?? '')
    expect(certificate.checkPrivateKey(createPrivateKey(status.clientKeyData ?? ''))).toBe(true)
    expect(certificate.subject).toContain('CN=oidc:grace')
    expect(status).not.toHaveProperty('token')
    expect(Date.parse(status.expirationTimestamp)).toBeLessThan(certificate.validToDate.getTime())
    // The same until it has to be renewed.
    expect(statusOf(await silent(user))).toEqual(status)
    expect(await user.windows()).toHaveLength(1)
  })

  test('the issuer is asked for a sign-in that is good for half of what is allowed', async () => {
    const user = await world.user()
    await login(world, user, '--certificate')
    const [url = ''] = await user.windows()
    expect(new URL(url).searchParams.get('max_age')).toBe(String(4 * 3_600))
  })

  test('a certificate and a token of the same sign-in live side by side', async () => {
    const user = await world.user()
    await login(world, user, '--certificate')
    const plain = await user.plugin({ interactive: false, args: ['--cache=file'] })
    expect(statusOf(plain)).toMatchObject({ token: expect.any(String) as string })
    expect(statusOf(plain)).not.toHaveProperty('clientCertificateData')
  })

  test('it is renewed silently, with a new key, also when the token has expired', async () => {
    const user = await world.user()
    await login(world, user, '--certificate')
    const first = statusOf(await silent(user))
    await change(user, { certificateRenewAt: 1, certificateExpiresAt: 2, renewAt: 1, expiresAt: 2 })
    const second = statusOf(await silent(user))
    expect(second.clientCertificateData).not.toBe(first.clientCertificateData)
    expect(second.clientKeyData).not.toBe(first.clientKeyData)
    expect(await user.windows()).toHaveLength(1)
  })

  test('eight at once with an expired certificate make one request', async () => {
    const user = await world.user()
    await login(world, user, '--certificate')
    await change(user, { certificateRenewAt: 1 })
    const isOrder = ({ requestURI }: { requestURI: string }) => requestURI.endsWith('/certificates')
    const before = (await world.gatehouse.events()).filter(isOrder).length
    const results = await Promise.all(Array.from({ length: 8 }, () => silent(user)))
    expect(new Set(results.map((one) => statusOf(one).clientCertificateData)).size).toBe(1)
    expect((await world.gatehouse.events()).filter(isOrder)).toHaveLength(before + 1)
  })

  test('while the sign-in cannot be renewed, a certificate that is due is used to its end', async () => {
    const user = await world.user()
    await login(world, user, '--certificate')
    const { clientCertificateData } = statusOf(await silent(user))
    // Nothing listens there.
    const away = { issuer: 'https://127.0.0.1:1', renewAt: 1, expiresAt: 2 }
    await change(user, { ...away, certificateRenewAt: 1 })
    const late = statusOf(await silent(user))
    expect(late.clientCertificateData).toBe(clientCertificateData)
    const { validToDate } = new X509Certificate(clientCertificateData ?? '')
    expect(late.expirationTimestamp).toBe(validToDate.toISOString())
    await change(user, { certificateExpiresAt: 2 })
    expect((await silent(user)).code).toBe(5)
  })

  test('after the longest age of a sign-in, a caller that nobody watches gets the command to run', async () => {
    const user = await world.user()
    await login(world, user, '--certificate')
    await change(user, { certificateRenewAt: 1, certificateExpiresAt: 2 })
    const realNow = Date.now
    vi.spyOn(Date, 'now').mockImplementation(() => realNow() + 9 * 3_600_000)
    expect(await silent(user)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('--certificate') as string,
    })
    vi.restoreAllMocks()
    expect(await silent(user)).toMatchObject({ code: 0 })
  })

  test('without a sign-in, a caller that nobody watches gets the command to run', async () => {
    const user = await world.user()
    expect(await silent(user)).toEqual({
      code: 3,
      stdout: '',
      stderr: `gatehouse: not signed in: run gatehouse login ${world.gatehouse.url} --certificate\n`,
    })
  })

  test('a Gatehouse that issues none says so before anybody signs in', async () => {
    const other = await startSignInWorld({
      ...{ provider: world.provider, providerCA: world.providerCA },
      signIn: { caFile: 'serving-ca.crt' },
    })
    onTestFinished(() => other.close())
    const user = await other.user()
    const { code, stderr } = await login(other, user, '--certificate')
    expect([code, stderr]).toEqual([2, expect.stringContaining('leave out --certificate')])
    expect(await user.windows()).toEqual([])
  })
})

describe.skipIf(!inject('hasParts'))('a real kubectl', () => {
  const namespace = newNamespace()
  let cluster: Cluster
  let site: SignInWorld

  beforeAll(async () => {
    cluster = await joinCluster({ namespace })
    site = await startSignInWorld({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      signIn: { caFile: 'serving-ca.crt' },
      issuing: {},
    })
  })
  afterAll(async () => {
    await site.close()
    await cluster.stop()
  })

  async function kubectlOf(user: CommandLineUser, ...args: readonly string[]) {
    const { code, stderr } = await login(site, user, '--namespace', namespace, ...args)
    expect([code, stderr]).toEqual([0, expect.stringContaining('Sign in')])
    const env = { ...user.env, KUBECONFIG: join(user.home, '.kube/config') }
    const { kubectl } = cluster.controlPlane
    return {
      run: (words: readonly string[]) => command(kubectl, words, { cwd: user.home, env }),
      start: (words: readonly string[]) => startProgram(kubectl, words, { cwd: user.home, env }),
    }
  }

  const WHOAMI = ['auth', 'whoami', '-o', 'json']

  test('is the same user with the certificate as with the token, also for the API server', async () => {
    const byToken = await kubectlOf(await site.user())
    const byCertificate = await kubectlOf(await site.user(), '--certificate')
    const users = []
    for (const { run } of [byToken, byCertificate]) {
      const { stdout, stderr } = await run(WHOAMI)
      expect(stderr).toBe('')
      const { status } = JSON.parse(stdout) as {
        status: { userInfo: { extra?: Record<string, unknown> } }
      }
      const { extra = {}, ...names } = status.userInfo
      delete extra['authentication.kubernetes.io/credential-id']
      users.push({ ...names, extra })
    }
    expect(users[0]).toMatchObject({ username: 'oidc:grace' })
    expect(users[1]).toEqual(users[0])
  })

  test('whose API server trusts the issuing CA for clients gets no certificate, and a readiness check says why', async () => {
    const { clientCA, frontProxyCA } = cluster.controlPlane
    for (const [ca, flag] of [
      [clientCA, '--client-ca-file'],
      [frontProxyCA, '--requestheader-client-ca-file'],
    ] as const) {
      const trusting = await startSignInWorld({
        ...{ provider: site.provider, providerCA: site.providerCA },
        upstream: { kubeconfig: cluster.gatehouseKubeconfig },
        signIn: { caFile: 'serving-ca.crt' },
        issuing: { caFile: ca.certFile, privateKeyFile: ca.keyFile },
      })
      onTestFinished(() => trusting.close())
      await expect
        .poll(async () => (await fetch(`${trusting.gatehouse.probesUrl}/readyz?verbose`)).text())
        .toContain(`the API server trusts the issuing CA for clients (${flag})`)
      const user = await trusting.user()
      // The provider has the certificate of the other world.
      const browsing = { ...user, run: withBrowserCA(user, site.providerCAFile) }
      const { code, stderr } = await login(trusting, browsing, '--certificate')
      expect([code, stderr]).toEqual([5, expect.stringContaining('no certificate can be issued')])
    }
  })

  test('reads, writes, watches and runs commands in a pod', async () => {
    const { run, start } = await kubectlOf(await site.user(), '--certificate')
    expect(await run(['create', 'configmap', 'mine', '--from-literal=a=b'])).toMatchObject({
      code: 0,
    })
    const watch = start(['get', 'configmaps', '--watch', '-o', 'name'])
    await watch.until(/configmap\/mine/)
    expect(await run(['create', 'configmap', 'later'])).toMatchObject({ code: 0 })
    await watch.until(/configmap\/later/)
    await watch.stop()
    expect(await run(['exec', 'web', '--', 'sh', '-c', 'echo from the pod; exit 7'])).toMatchObject(
      {
        code: 7,
        stdout: 'from the pod\n',
      },
    )
    expect(await run(['get', 'pods', '-n', 'kube-system'])).toMatchObject({ code: 1 })
    expect(await cluster.eventsOfGatehouseItself()).toEqual(expect.any(Array))
  })
})

/**
 * Tokens that the issuer binds to a certificate of the client (RFC 8705): `gatehouse login`, the plugin that hands
 * out both, and a real kubectl with them at a real API server.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'

import type { KeyPair } from '../../certs-dev/pki.ts'
import { createClient } from '../support/client.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { command, type CommandResult } from '../support/command.ts'
import { startProgram } from '../support/program.ts'
import {
  startSignInWorld,
  type CommandLineUser,
  type SignInWorld,
  type SignInWorldOptions,
} from '../support/sign-in-world.ts'

/** The administrator's part; tokens that are not bound are refused. */
const BOUND: SignInWorldOptions = {
  bindsAccessTokens: true,
  authentication: { boundTokens: { selfSignedCertificates: 'accept' } },
  claimValidationRules: [{ expression: 'has(claims.cnf)', message: 'the token is not bound' }],
  method: { boundTokens: 'selfSigned', deviceAuthorization: true },
  signIn: { caFile: 'serving-ca.crt' },
}

interface Stored {
  facts: Record<string, unknown>
  secrets: { token: string; refreshToken: string; boundTo: { certificate: string; key: string } }
}

async function sessionFile({ home }: CommandLineUser): Promise<string> {
  const directory = join(home, '.cache/gatehouse/sign-in')
  const names = await readdir(directory)
  return join(directory, names.find((name) => name.endsWith('.json')) ?? '')
}

async function stored(user: CommandLineUser): Promise<Stored> {
  return JSON.parse(await readFile(await sessionFile(user), 'utf8')) as Stored
}

async function expire(user: CommandLineUser): Promise<void> {
  const session = await stored(user)
  Object.assign(session.facts, { renewAt: 1, expiresAt: 2 })
  await writeFile(await sessionFile(user), JSON.stringify(session))
}

function login({ gatehouse }: SignInWorld, user: CommandLineUser, ...args: readonly string[]) {
  const trust = ['--ca-fingerprint', new X509Certificate(gatehouse.ca).fingerprint256]
  return user.run(['login', gatehouse.url, ...trust, '--cache', 'file', ...args])
}

function silent(user: CommandLineUser, ...args: readonly string[]): Promise<CommandResult> {
  return user.plugin({ interactive: false, args: ['--cache=file', ...args] })
}

interface Status {
  readonly token: string
  readonly clientCertificateData: string
  readonly clientKeyData: string
}

function statusOf({ code, stdout, stderr }: CommandResult): Status {
  expect([code, stderr]).toEqual([0, ''])
  return (JSON.parse(stdout) as { status: Status }).status
}

async function statusCode(
  { gatehouse }: SignInWorld,
  token: string,
  certificate?: KeyPair,
): Promise<number> {
  const client = createClient({
    ...{ url: gatehouse.url, ca: gatehouse.ca, token },
    ...(certificate === undefined ? {} : { certificate }),
  })
  const { status } = await client.ask('/api/v1/namespaces/d/pods')
  await client.close()
  return status
}

function pairOf({ clientCertificateData, clientKeyData }: Status): KeyPair {
  return { certificatePem: clientCertificateData, keyPem: clientKeyData }
}

describe('with an issuer that binds access tokens', () => {
  let world: SignInWorld

  beforeAll(async () => {
    world = await startSignInWorld(BOUND)
  })
  afterAll(() => world.close())

  test('the plugin hands out a token with the certificate that it needs, and a stolen one is useless', async () => {
    const user = await world.user()
    const signedIn = await login(world, user)
    expect(signedIn).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/oidc:grace/) as string,
    })
    const status = statusOf(await silent(user))
    const certificate = new X509Certificate(status.clientCertificateData)
    expect(certificate.checkPrivateKey(createPrivateKey(status.clientKeyData))).toBe(true)
    expect(await statusCode(world, status.token, pairOf(status))).toBe(200)
    expect(await statusCode(world, status.token)).toBe(401)
    const thief = await world.user('heidi')
    await login(world, thief)
    const own = statusOf(await silent(thief))
    expect(own.clientKeyData).not.toBe(status.clientKeyData)
    expect(await statusCode(world, status.token, pairOf(own))).toBe(401)
    // The kubeconfig has no key, and the ID token, which is bound to nothing, is not kept.
    const config = await readFile(join(user.home, '.kube/config'), 'utf8')
    expect(config).not.toMatch(/PRIVATE KEY|client-key|client-certificate/)
    expect(await readFile(await sessionFile(user), 'utf8')).not.toContain('idToken')
    expect(await statusCode(world, await world.provider.idToken('grace-1'))).toBe(401)
    const whoami = await user.run(['whoami', '--output', 'json'])
    expect(JSON.parse(whoami.stdout)).toMatchObject({
      username: 'oidc:grace',
      requests: 'accepted',
    })
  })

  test('it is renewed silently with the same certificate, without which the refresh token is useless', async () => {
    const user = await world.user()
    await login(world, user)
    const first = statusOf(await silent(user))
    await expire(user)
    const { secrets } = await stored(user)
    const body = new URLSearchParams({
      ...{ grant_type: 'refresh_token', refresh_token: secrets.refreshToken },
      client_id: world.provider.commandLineClientId,
    }).toString()
    const thief = createClient({ url: world.provider.issuer, ca: world.providerCA })
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    expect(await thief.ask('/token', { method: 'POST', body, headers })).toMatchObject({
      status: 400,
      body: expect.stringContaining('invalid_grant') as string,
    })
    await thief.close()
    const second = statusOf(await silent(user))
    expect(second.token).not.toBe(first.token)
    expect(second.clientKeyData).toBe(first.clientKeyData)
    expect(await statusCode(world, second.token, pairOf(second))).toBe(200)
    expect(await user.windows()).toHaveLength(1)
  })

  test('a new sign-in has a new key', async () => {
    const user = await world.user()
    await login(world, user)
    const first = statusOf(await silent(user))
    await login(world, user)
    expect(statusOf(await silent(user)).clientKeyData).not.toBe(first.clientKeyData)
  })

  test('signing out revokes the sign-in with the certificate', async () => {
    const user = await world.user()
    await login(world, user)
    const before = world.provider.requests.get('/token/revocation') ?? 0
    expect(await user.run(['logout'])).toMatchObject({ code: 0, stderr: '' })
    expect(world.provider.requests.get('/token/revocation')).toBe(before + 1)
  })

  test('neither a bare token nor a certificate of Gatehouse is given for such a sign-in', async () => {
    const user = await world.user()
    const issued = await login(world, user, '--certificate')
    expect([issued.code, issued.stderr]).toEqual([2, expect.stringContaining('--certificate')])
    await login(world, user)
    const trust = ['--ca-file', join(user.home, 'ca.crt')]
    await writeFile(trust[1] ?? '', world.gatehouse.ca)
    const printed = await user.run(['get-token', `--server=${world.gatehouse.url}`, ...trust])
    expect(printed).toMatchObject({ stdout: '' })
    expect(printed.code).not.toBe(0)
    const other = await user.run([
      ...['kubeconfig', world.gatehouse.url, ...trust, '--flavor', 'kubelogin'],
    ])
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('kubelogin cannot')])
  })
})

test('a token that the issuer has not bound is not taken', async () => {
  const world = await startSignInWorld({ ...BOUND, bindsAccessTokens: false })
  onTestFinished(() => world.close())
  const user = await world.user()
  const { code, stderr } = await login(world, user)
  expect([code, stderr]).toEqual([5, expect.stringContaining('is not a JWT')])
  await expect(sessionFile(user).then((file) => readFile(file))).rejects.toThrow()
})

describe('with a certificate of the user', () => {
  let world: SignInWorld

  beforeAll(async () => {
    world = await startSignInWorld({
      bindsAccessTokens: true,
      method: { boundTokens: 'clientCertificate' },
      signIn: { caFile: 'serving-ca.crt' },
    })
  })
  afterAll(() => world.close())

  async function newUser() {
    const user = await world.user()
    const files = { certificate: join(user.home, 'own.crt'), key: join(user.home, 'own.key') }
    const renew = async (): Promise<KeyPair> => {
      const pair = await world.gatehouse.certificate()
      await writeFile(files.certificate, `Bag Attributes\n${pair.certificatePem}`)
      await writeFile(files.key, pair.keyPem)
      return pair
    }
    return { user, files, renew, pair: await renew() }
  }
  // Relative to where the command is run; kubectl runs the plugin anywhere.
  const OWN = ['--client-certificate', 'own.crt', '--client-key', 'own.key']

  test('the token is bound to it, the user is that of the token, and the key stays in its file', async () => {
    const { user, files, pair } = await newUser()
    expect(await login(world, user, ...OWN)).toMatchObject({ code: 0 })
    const config = await readFile(join(user.home, '.kube/config'), 'utf8')
    expect(config).toContain(`--client-certificate=${files.certificate}`)
    const status = statusOf(await silent(user))
    expect(status.clientKeyData.trim()).toBe(pair.keyPem.trim())
    expect(status.clientCertificateData).not.toContain('Bag')
    expect(await readFile(await sessionFile(user), 'utf8')).not.toContain('PRIVATE KEY')
    expect(await statusCode(world, status.token, pair)).toBe(200)
    expect(await statusCode(world, status.token)).toBe(401)
    await expire(user)
    expect(await statusCode(world, statusOf(await silent(user)).token, pair)).toBe(200)
    const whoami = await user.run(['whoami', '--output', 'json'])
    expect(JSON.parse(whoami.stdout)).toMatchObject({ username: 'oidc:grace' })
  })

  test('a certificate that was renewed needs a new sign-in', async () => {
    const { user, renew } = await newUser()
    await login(world, user, ...OWN)
    const pair = await renew()
    const paths = OWN.map((word) => (word.startsWith('--') ? word : join(user.home, word)))
    const { code, stdout, stderr } = await silent(user, ...paths)
    expect([code, stdout]).toEqual([3, ''])
    expect(stderr).toContain(`--client-certificate ${join(user.home, 'own.crt')}`)
    const again = await user.plugin({ args: ['--cache=file', ...paths] })
    expect([again.code, again.stderr]).toEqual([0, expect.stringContaining('Sign in')])
    const { token } = (JSON.parse(again.stdout) as { status: Status }).status
    expect(await statusCode(world, token, pair)).toBe(200)
  })

  test('is asked for, and checked, before anybody signs in', async () => {
    const { user, files } = await newUser()
    const refusal = async (...args: readonly string[]) => {
      const { code, stderr } = await login(world, user, ...args)
      return `${code} ${stderr}`
    }
    expect(await refusal()).toMatch(/^2 .*needs your client certificate.*--client-certificate/)
    expect(await refusal('--client-certificate', 'own.crt')).toMatch(/^2 .*together/)
    expect(await refusal(...OWN.slice(0, 3), 'none.key')).toMatch(/^7 .*cannot read.*none\.key/)
    expect(await refusal(...OWN.slice(0, 3), 'own.crt')).toMatch(/^2 .*cannot use/)
    await writeFile(files.key, (await world.gatehouse.certificate()).keyPem)
    expect(await refusal(...OWN)).toMatch(/^2 .*is not the key of/)
    await writeFile(files.certificate, 'nothing')
    expect(await refusal(...OWN)).toMatch(/^2 .*contains no certificate/)
    expect(await user.windows()).toEqual([])
  })

  test('is refused where tokens are not bound', async () => {
    const plain = await startSignInWorld({ signIn: { caFile: 'serving-ca.crt' } })
    onTestFinished(() => plain.close())
    const { user } = await newUser()
    const { code, stderr } = await login(plain, user, ...OWN)
    expect([code, stderr]).toEqual([2, expect.stringContaining('leave out --client-certificate')])
  })
})

describe.skipIf(!inject('hasParts'))('a real kubectl', () => {
  const namespace = newNamespace()
  let cluster: Cluster
  let site: SignInWorld

  beforeAll(async () => {
    cluster = await joinCluster({ namespace })
    site = await startSignInWorld({
      ...BOUND,
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
    })
  })
  afterAll(async () => {
    await site.close()
    await cluster.stop()
  })

  test('sends both, over a renewal, and streams', async () => {
    const user = await site.user()
    expect(await login(site, user, '--namespace', namespace)).toMatchObject({ code: 0 })
    const env = { ...user.env, KUBECONFIG: join(user.home, '.kube/config') }
    const { kubectl } = cluster.controlPlane
    const run = (words: readonly string[]) => command(kubectl, words, { cwd: user.home, env })
    const whoami = await run(['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'])
    expect(whoami).toMatchObject({ code: 0, stdout: 'oidc:grace' })
    const watch = startProgram(kubectl, ['get', 'configmaps', '--watch', '-o', 'name'], {
      ...{ cwd: user.home, env },
    })
    await watch.until(/kube-root-ca/)
    await expire(user)
    const before = site.provider.requests.get('/token') ?? 0
    const names = Array.from({ length: 8 }, (_, i) => `bound-${i}`)
    const made = await Promise.all(names.map((name) => run(['create', 'configmap', name])))
    expect(made.filter(({ code }) => code !== 0)).toEqual([])
    expect(site.provider.requests.get('/token')).toBe(before + 1)
    for (const name of names) await watch.until(new RegExp(`configmap/${name}`))
    await watch.stop()
    const said = await run(['exec', 'web', '--', 'sh', '-c', 'echo from the pod; exit 7'])
    expect(said).toMatchObject({ code: 7, stdout: 'from the pod\n' })
    // The same token without the certificate.
    const { token } = statusOf(await silent(user))
    await writeFile(join(user.home, 'ca.crt'), site.gatehouse.ca)
    const flags = ['--kubeconfig', '/dev/null', '--server', site.gatehouse.url, '--token', token]
    const stolen = await run([
      ...[...flags, '--certificate-authority', join(user.home, 'ca.crt'), 'get', 'pods'],
    ])
    expect([stolen.code, stolen.stderr]).toEqual([1, expect.stringContaining('Unauthorized')])
  })
})

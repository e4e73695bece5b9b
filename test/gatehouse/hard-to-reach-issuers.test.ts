/** Issuers that cannot be reached, or only through a proxy of their own, and files that change. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { createAuthority } from '../../certs-dev/pki.ts'
import {
  createSigningKey,
  signToken,
  startIssuer,
  type SigningKey,
  type TestIssuer,
} from '../authentication/oidc/issuer.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient, type Client } from '../support/client.ts'
import { startEgressProxy, type EgressProxy } from '../support/egress-proxy.ts'
import { replaceFile } from '../support/files.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { openWatch } from '../support/reloading.ts'

let api: ApiServer
let issuer: TestIssuer
let first: SigningKey
let directory: string
let gatehouse: TestGatehouse | undefined
let client: Client | undefined
let proxy: EgressProxy | undefined

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-test-'))
  first = await createSigningKey('first')
  ;[api, issuer] = await Promise.all([startApiServer(), startIssuer([first.publicJwk])])
  await writeFile(file('issuers.yaml'), authentication())
})

afterEach(async () => {
  await gatehouse?.close()
  await client?.close()
  await Promise.all([api.close(), issuer.close(), proxy?.close()])
  client = undefined
  gatehouse = proxy = undefined
  await rm(directory, { recursive: true, force: true })
})

const file = (name: string): string => join(directory, name)

function authentication(issuerFields: Readonly<Record<string, unknown>> = {}): string {
  return stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: { url: issuer.url, audiences: ['kubernetes'], ...issuerFields },
        claimMappings: { username: { claim: 'sub', prefix: 'oidc:' } },
      },
    ],
  })
}

async function start(options: Readonly<Record<string, unknown>>): Promise<TestGatehouse> {
  const started = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: {
      authentication: {
        configFile: file('issuers.yaml'),
        issuers: [{ url: issuer.url, ...options }],
      },
    },
  })
  client = createClient({ url: started.url, ca: started.ca })
  gatehouse = started
  return started
}

async function replace(name: string, text: string): Promise<void> {
  await replaceFile(file(name), text)
  gatehouse?.gatehouse.reload()
}

async function statusFor(key: SigningKey): Promise<number> {
  const authorization = `Bearer ${await signToken(issuer, key)}`
  const { status } = await client!.ask('/api/v1/pods', { headers: { authorization } })
  return status
}

test('tokens of an issuer with a key set file are verified, and nothing is fetched', async () => {
  await writeFile(file('keys.json'), JSON.stringify({ keys: [first.publicJwk] }))
  await start({ jwksFile: file('keys.json') })
  expect(await statusFor(first)).toBe(200)
  expect(await statusFor(await createSigningKey('first'))).toBe(401)
  expect(issuer.requests.size).toBe(0)
})

test('a key that is taken out of the file ends what it verified, and a broken file changes nothing', async () => {
  const second = await createSigningKey('second')
  await writeFile(file('keys.json'), JSON.stringify({ keys: [first.publicJwk] }))
  const running = await start({ jwksFile: file('keys.json') })
  const authorization = `Bearer ${await signToken(issuer, first)}`
  const watch = await openWatch({
    gatehouse: { ...running, token: () => Promise.resolve(authorization.slice(7)) },
    api,
  })
  await replace('keys.json', '{"keys": []}')
  await expect.poll(() => running.log.join('')).toContain('contains no usable key')
  expect(await statusFor(first)).toBe(200)
  const ended = new Promise((resolve) => watch.once('close', resolve))
  watch.resume().on('error', () => undefined)
  await replace('keys.json', JSON.stringify({ keys: [second.publicJwk] }))
  await ended
  expect([await statusFor(first), await statusFor(second)]).toEqual([401, 200])
})

test('the file of the CA of an issuer is read again when it changes', async () => {
  const other = await createAuthority({ commonName: 'other' })
  await writeFile(file('ca.crt'), other.certificatePem)
  const running = await start({ certificateAuthorityFile: file('ca.crt') })
  expect(await statusFor(first)).toBe(401)
  expect(running.log.join('')).toContain("the issuer's certificate is not signed by a trusted CA")
  await replace('ca.crt', issuer.certificateAuthority)
  await expect.poll(() => statusFor(first)).toBe(200)
})

test('an issuer is reached through the proxy of its own, whose file of credentials is read again', async () => {
  proxy = await startEgressProxy(Number(new URL(issuer.url).port))
  await writeFile(file('ca.crt'), issuer.certificateAuthority)
  await writeFile(file('credentials'), 'gate:old\n', { mode: 0o600 })
  await start({
    certificateAuthorityFile: file('ca.crt'),
    proxy: { url: `http://127.0.0.1:${proxy.port}`, credentialsFile: file('credentials') },
  })
  expect(await statusFor(first)).toBe(200)
  const sent = (): string[] =>
    proxy!.requests.map((head) => /^proxy-authorization: (.*)\r$/im.exec(head)?.[1] ?? '')
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`
  expect(new Set(sent())).toEqual(new Set([basic('gate:old')]))
  await replace('credentials', 'gate:new\n')
  await expect.poll(sent).toContain(basic('gate:new'))
  await expect.poll(() => statusFor(first)).toBe(200)
})

test('a CA that is set twice is a problem that names both places', async () => {
  await writeFile(
    file('issuers.yaml'),
    authentication({ certificateAuthority: issuer.certificateAuthority }),
  )
  await writeFile(file('ca.crt'), issuer.certificateAuthority)
  await expect(start({ certificateAuthorityFile: file('ca.crt') })).rejects.toThrow(
    'jwt[0].issuer.certificateAuthority: is also set by certificateAuthorityFile in authentication.issuers of gatehouse.yaml (remove it here or there)',
  )
})

test.for([
  [{ url: 'socks5://proxy.example' }, 'is not the URL of a proxy'],
  [
    { url: 'http://gate:s3cret@proxy.example' },
    'contains a user name or password, which belong in credentialsFile',
  ],
  [{ url: 'http://proxy.example/path' }, 'has a path, query or fragment'],
] as const)('a proxy such as %j is a problem', async ([proxyOptions, message]) => {
  const error: unknown = await start({ proxy: proxyOptions }).catch((reason: unknown) => reason)
  expect((error as Error).message).toContain(`authentication.issuers[0].proxy.url: ${message}`)
  expect((error as Error).message).not.toContain('s3cret')
})

test('options that a key set file makes void are problems', async () => {
  await writeFile(file('keys.json'), JSON.stringify({ keys: [first.publicJwk] }))
  const options = { jwksFile: file('keys.json'), cachedKeyLifetime: '1h' }
  await expect(start(options)).rejects.toThrow(
    'authentication.issuers[0].cachedKeyLifetime: has no effect with jwksFile',
  )
})

test('a lifetime of cached keys below a minute is a problem', async () => {
  await expect(start({ cachedKeyLifetime: '59s' })).rejects.toThrow('is shorter than 1m')
})

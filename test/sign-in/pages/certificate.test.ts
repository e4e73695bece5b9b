/** Client certificates on the pages: who gets one, for which request, and for whom. */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { parse } from 'yaml'

import type { AuditRecord } from '../../../src/audit/record.ts'
import type { Authentication } from '../../../src/authentication/authenticator.ts'
import { SESSION_COOKIE, SIGN_IN_COOKIE } from '../../../src/sign-in/pages/cookies.ts'
import {
  issueCertificate,
  type IssueOptions,
} from '../../../src/sign-in/pages/issue-certificate.ts'
import type { PageRequest } from '../../../src/sign-in/pages/page.ts'
import { StatusError } from '../../../src/status.ts'
import { certificateRequest, newKeys, requestPem } from '../../support/certificate-request.ts'
import { createClient } from '../../support/client.ts'
import { replaceFile } from '../../support/files.ts'
import { createPageClient, type PageClient, type PageResponse } from '../../support/page-client.ts'
import { PAGES_HOST, startPagesWorld, type PagesWorld } from '../../support/pages-world.ts'

const user = (name: string, groups: readonly string[] = ['engineers']) => ({
  ...{ subject: `${name}-1`, preferredUsername: name, email: `${name}@example.com` },
  groups,
})
/** More than a session cookie holds, and less than a certificate. */
const TEAMS = Array.from({ length: 90 }, (_, i) => `team-${i}-with-a-rather-long-name`)

let world: PagesWorld
let page = ''

beforeAll(async () => {
  world = await startPagesWorld({
    accounts: [user('grace'), user('heidi'), user('many', TEAMS), user('greedy'), user('locked')],
    issuing: { maxLifetime: '90m', maxSignInAge: '8h' },
    configuration: { locks: { file: 'locks.yaml' } },
    files: { 'locks.yaml': LOCKS },
  })
  page = `${world.pagesURL}/gatehouse/certificate`
})
afterAll(() => world.close())

const LOCKS = 'apiVersion: gatehouse/v1\nkind: Locks\nlocks: []\n'

async function signedIn(account = 'grace'): Promise<PageClient> {
  const client = createPageClient({ ca: [world.gatehouse.ca, world.providerCA] })
  onTestFinished(() => client.close())
  expect(await client.follow(`${world.pagesURL}/gatehouse/sign-in`, account)).toMatchObject({
    status: 200,
  })
  return client
}

const OWN = { 'sec-fetch-site': 'same-origin' }

function send(client: PageClient, fields: Readonly<Record<string, string | Blob>>) {
  return client.ask(page, { multipart: fields, headers: { ...OWN, origin: world.pagesURL } })
}

/** Where the page in between leads. */
function issuerURL({ text }: PageResponse): string {
  const [, href = ''] = /<a class="button" href="([^"]+)"/.exec(text) ?? []
  return href.replaceAll('&amp;', '&')
}

async function issued(client: PageClient, request: string, account: string): Promise<PageResponse> {
  const between = await send(client, { request })
  expect(between.status).toBe(200)
  return client.follow(issuerURL(between), account)
}

const certificateIn = ({ text }: PageResponse): string =>
  /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(text)?.[0] ?? ''

const base64 = (text: string): string => Buffer.from(text).toString('base64')

const withoutTags = (text: string): string => text.replaceAll(/<[^>]*>/g, '')

/** The files that a page contains as links, by name. */
const downloads = ({ text }: PageResponse): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...text.matchAll(/href="data:[a-z/-]+;base64,([^"]+)"\s+download="([^"]+)"/g)].map(
      ([, data = '', name = '']) => [name, Buffer.from(data, 'base64').toString()],
    ),
  )

const textOf = ({ text }: PageResponse): string =>
  text.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ')

describe('a user who has signed in', () => {
  test('makes the key with the line of the page, and gets a certificate that the API accepts', async () => {
    const client = await signedIn()
    const start = await client.ask(`${world.pagesURL}/gatehouse/`)
    expect(start.text).toContain('href="/gatehouse/certificate"')
    const { text } = await client.ask(page)
    const [, line = ''] = /<pre><code>(openssl [\s\S]*?)<\/code>/.exec(text) ?? []
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-csr-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const [program = '', ...args] = withoutTags(line).split(' ')
    execFileSync(program, args, { cwd: directory, stdio: 'ignore' })
    const request = new Blob([readFileSync(join(directory, 'gatehouse.csr'))])

    const between = await send(client, { request: '', file: request })
    const url = new URL(issuerURL(between))
    expect(url.origin).toBe(world.provider.issuer)
    expect(url.searchParams.get('max_age')).toBe(String(4 * 3_600))
    const result = await client.follow(url.href, 'grace')
    expect([result.status, result.headers['cache-control']]).toEqual([200, 'no-store'])
    const certificatePem = certificateIn(result)
    const certificate = new X509Certificate(certificatePem)
    expect(
      certificate.verify(
        new X509Certificate(world.gatehouse.issuingAuthority.certificatePem).publicKey,
      ),
    ).toBe(true)
    expect(certificate.subject).toContain('CN=oidc:grace')
    expect(certificate.subject).not.toContain('CN=gatehouse')
    const keyPem = readFileSync(join(directory, 'gatehouse.key'), 'utf8')
    expect(certificate.checkPrivateKey(createPrivateKey(keyPem))).toBe(true)
    expect(withoutTags(result.text)).toContain(
      'kubectl config set-credentials production-certificate --client-certificate=gatehouse.crt --client-key=gatehouse.key',
    )
    expect(downloads(result)['gatehouse.crt']?.trim()).toBe(certificatePem)
    expect(parse(downloads(result)['production-certificate.kubeconfig'] ?? '')).toEqual({
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'production-certificate' },
      clusters: [
        {
          name: 'production',
          cluster: {
            server: world.apiURL,
            'certificate-authority-data': base64(world.gatehouse.ca),
          },
        },
      ],
      users: [
        {
          name: 'production-certificate',
          user: {
            'client-certificate-data': base64(`${certificatePem}\n`),
            'client-key': 'gatehouse.key',
          },
        },
      ],
      contexts: [
        {
          name: 'production-certificate',
          context: { cluster: 'production', user: 'production-certificate' },
        },
      ],
    })
    expect(result.text).not.toMatch(/<script|\sstyle=|\son[a-z]+=/)

    const api = createClient({
      ...{ url: world.apiURL, ca: world.gatehouse.ca, certificate: { certificatePem, keyPem } },
    })
    onTestFinished(() => api.close())
    const whoami = await api.ask('/gatehouse/api/whoami')
    expect(JSON.parse(whoami.body)).toMatchObject({
      method: 'issued-certificate',
      userInfo: { username: 'oidc:grace', groups: ['oidc:engineers', 'system:authenticated'] },
    })
    const [event] = await world.gatehouse.eventsWhere(
      ({ annotations }) => annotations['gatehouse/issuedSerial'] === certificate.serialNumber,
    )
    expect(event).toMatchObject({ verb: 'create', user: { username: 'oidc:grace' } })
    // The session of the page goes on.
    expect(client.cookies.get(PAGES_HOST)?.has(SESSION_COOKIE)).toBe(true)
    expect((await client.ask(page)).status).toBe(200)
  })

  test('gets all groups into it, however few the session has', async () => {
    const result = await issued(await signedIn('many'), certificateRequest(), 'many')
    const { subject } = new X509Certificate(certificateIn(result))
    expect(subject.match(/O=oidc:team-/g)).toHaveLength(TEAMS.length)
  })

  test('sends a large RSA key in a cookie that browsers keep', async () => {
    const keys = generateKeyPairSync('rsa', { modulusLength: 4_096 })
    const client = await signedIn()
    const request = certificateRequest({ keys, algorithm: '1.2.840.113549.1.1.11' })
    const between = await send(client, { request })
    expect(Buffer.byteLength(between.setCookies[0] ?? '')).toBeLessThan(4_000)
    const result = await client.follow(issuerURL(between), 'grace')
    expect(new X509Certificate(certificateIn(result)).publicKey.equals(keys.publicKey)).toBe(true)
  })

  test('gets one certificate for one request: what the browser brings back is good once', async () => {
    const client = await signedIn()
    const between = await send(client, { request: certificateRequest() })
    const cookie = client.cookies.get(PAGES_HOST)?.get(SIGN_IN_COOKIE) ?? ''
    const result = await client.follow(issuerURL(between), 'grace')
    expect(result.status).toBe(200)
    expect(client.cookies.get(PAGES_HOST)?.has(SIGN_IN_COOKIE)).toBe(false)
    client.cookies.get(PAGES_HOST)?.set(SIGN_IN_COOKIE, cookie)
    expect((await client.ask(result.url)).status).toBe(400)
    // Nor does a sign-in without a request give one.
    client.cookies.get(PAGES_HOST)?.delete(SIGN_IN_COOKIE)
    const again = await client.follow(`${world.pagesURL}/gatehouse/sign-in`, 'grace')
    expect(certificateIn(again)).toBe('')
  })
})

describe('no certificate is issued', () => {
  const serials = async (): Promise<number> =>
    (await world.gatehouse.events()).filter(
      ({ annotations }) => annotations['gatehouse/issuedSerial'] !== undefined,
    ).length

  test.for<readonly [string, Readonly<Record<string, string | Blob>>, RegExp]>([
    ['nothing', {}, /no certificate request/],
    ['empty fields', { request: ' ', file: new Blob([]) }, /no certificate request/],
    ['two requests', { request: 'x', file: new Blob(['y']) }, /two certificate requests/],
    ['a text', { request: '<script>alert(1)</script>' }, /not one PEM block/],
    ['two blocks', { request: certificateRequest() + certificateRequest() }, /not one PEM block/],
    ['a certificate', { request: requestPem(Buffer.from('x'), 'CERTIFICATE') }, /not one PEM/],
    ['no DER', { request: requestPem(Buffer.from('x')) }, /cannot be parsed/],
    [
      'the signature of another key',
      { request: certificateRequest({ signedBy: newKeys() }) },
      /not signed with its own key/,
    ],
    [
      'a curve that is not allowed',
      { request: certificateRequest({ keys: newKeys('P-521') }) },
      /a key that is not allowed/,
    ],
    [
      'a short RSA key',
      {
        request: certificateRequest({
          keys: generateKeyPairSync('rsa', { modulusLength: 1_024 }),
          algorithm: '1.2.840.113549.1.1.11',
        }),
      },
      /a key that is not allowed/,
    ],
    [
      'a long text',
      { request: `x${certificateRequest()}`.padEnd(9_000, 'x') },
      /more than 8192 characters/,
    ],
    ['a large body', { request: 'x'.repeat(20_000) }, /larger than 16384 bytes/],
  ])('for %s, and no sign-in begins', async ([, fields, message]) => {
    const client = await signedIn()
    const before = await serials()
    const response = await send(client, fields)
    expect([response.status, textOf(response)]).toEqual([400, expect.stringMatching(message)])
    expect(response.text).not.toContain('<script')
    expect(client.cookies.get(PAGES_HOST)?.has(SIGN_IN_COOKIE)).toBe(false)
    expect(await serials()).toBe(before)
  })

  test('for another kind of form, and one that cannot be parsed', async () => {
    const client = await signedIn()
    const form = new URLSearchParams({ request: certificateRequest() }).toString()
    expect(await client.ask(page, { form, headers: OWN })).toMatchObject({ status: 400 })
    for (const type of [
      'multipart/form-data',
      'multipart/form-data; boundary=x',
      'multipart/form-data; boundary=',
    ]) {
      const headers = { ...OWN, 'content-type': type }
      expect(await client.ask(page, { form, headers })).toMatchObject({ status: 400 })
    }
  })

  test.for([
    ['another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
    ['a site with a similar name', { 'sec-fetch-site': 'same-site' }],
    ['an opaque origin', { origin: 'null' }],
    ['nobody knows where', {}],
  ] as const)('for a form from %s', async ([, headers]) => {
    const client = await signedIn()
    const multipart = { request: certificateRequest() }
    expect(await client.ask(page, { multipart, headers })).toMatchObject({ status: 403 })
    expect(client.cookies.get(PAGES_HOST)?.has(SIGN_IN_COOKIE)).toBe(false)
  })

  test('without a session, whatever the credential', async () => {
    const client = createPageClient({ ca: [world.gatehouse.ca, world.providerCA] })
    onTestFinished(() => client.close())
    const authorization = `Bearer ${await world.provider.idToken('grace-1')}`
    const headers = { ...OWN, origin: world.pagesURL, authorization }
    const multipart = { request: certificateRequest() }
    expect(await client.ask(page, { multipart, headers })).toMatchObject({ status: 403 })
    const shown = await client.ask(page)
    expect([shown.status, shown.headers['location']]).toEqual([303, '/gatehouse/'])
  })

  test('when another user signs in at the issuer than the one who has the key', async () => {
    const client = await signedIn()
    const between = await send(client, { request: certificateRequest() })
    const before = await serials()
    client.cookies.delete('127.0.0.1')
    const result = await client.follow(issuerURL(between), 'heidi')
    expect([result.status, textOf(result)]).toEqual([403, expect.stringContaining('another user')])
    expect(client.cookies.get(PAGES_HOST)?.has(SIGN_IN_COOKIE)).toBe(false)
    expect(await serials()).toBe(before)
  })

  test('for a sign-in of unknown age: who removes max_age from the address gets none', async () => {
    const client = await signedIn()
    const between = await send(client, { request: certificateRequest() })
    const url = new URL(issuerURL(between))
    url.searchParams.delete('max_age')
    const before = await serials()
    const result = await client.follow(url.href, 'grace')
    expect([result.status, textOf(result)]).toEqual([
      403,
      expect.stringContaining('does not say when you signed in (auth_time)'),
    ])
    expect(await serials()).toBe(before)
  })

  test('for an old sign-in, and the page says what to do', async () => {
    const { issuer } = world.provider
    const release = vi.fn<() => void>()
    const record: Partial<AuditRecord> = {
      servedHere: () => undefined,
      admitted: () => undefined,
      forwarding: () => undefined,
    }
    const old = new StatusError('Unauthorized', 'your sign-in is too old for a certificate')
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64url')
    const ended = issueCertificate(
      { record, observed: {}, exchange: {} } as unknown as PageRequest,
      {
        authentication: { user: { username: 'oidc:grace' } } as unknown as Authentication,
        subject: 's',
      },
      { spki, subject: 's' },
      {
        displayName: 'x',
        cluster: () => ({ name: 'x', server: issuer, certificateAuthority: undefined }),
        certificates: {
          options: { maxLifetime: 1, maxSignInAge: 1 },
          issue: () => Promise.reject(old),
        },
        stages: {
          limiter: { admitUser: () => Promise.resolve({ release, state: undefined }) },
        } as unknown as IssueOptions['stages'],
      },
    )
    await expect(ended).rejects.toMatchObject({
      code: 403,
      message: expect.stringContaining('sign out, and sign in again') as string,
      cause: old,
    })
    expect(release).toHaveBeenCalledOnce()
  })

  test('for a user who was locked in the meantime', async () => {
    const client = await signedIn('locked')
    const between = await send(client, { request: certificateRequest() })
    const lock = '\n  - user: oidc:locked\n    reason: Call the desk.\n'
    await replaceFile(world.gatehouse.file('locks.yaml'), LOCKS.replace(' []\n', lock))
    await expect.poll(async () => (await client.ask(page)).status).toBe(403)
    const before = await serials()
    const result = await client.follow(issuerURL(between), 'locked')
    expect([result.status, textOf(result)]).toEqual([403, expect.stringContaining('Call the desk')])
    expect(await serials()).toBe(before)
  })

  test('beyond the limit of a user, which is that of the API', async () => {
    const client = await signedIn('greedy')
    const codes: number[] = []
    for (let i = 0; i < 25 && codes.at(-1) !== 429; i++) {
      codes.push((await issued(client, certificateRequest(), 'greedy')).status)
    }
    expect(codes.at(-1)).toBe(429)
    const other = await issued(await signedIn('heidi'), certificateRequest(), 'heidi')
    expect(other.status).toBe(200)
  })

  test('where the administrator has not allowed it, and no page offers it', async () => {
    const plain = await startPagesWorld({ accounts: [user('grace')] })
    onTestFinished(() => plain.close())
    const client = createPageClient({ ca: [plain.gatehouse.ca, plain.providerCA] })
    onTestFinished(() => client.close())
    const start = await client.follow(`${plain.pagesURL}/gatehouse/sign-in`, 'grace')
    expect(start.text).not.toContain('certificate')
    const at = `${plain.pagesURL}/gatehouse/certificate`
    expect(await client.ask(at)).toMatchObject({ status: 404 })
    const headers = { ...OWN, origin: plain.pagesURL }
    const multipart = { request: certificateRequest() }
    expect(await client.ask(at, { multipart, headers })).toMatchObject({ status: 404 })
  })
})

/** Passwords of a directory, which is a real OpenLDAP server: what they are good for, and where they do not go. */
import { X509Certificate } from 'node:crypto'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { KeyPair } from '../../certs-dev/pki.ts'
import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { certificateRequest, newKeys } from '../support/certificate-request.ts'
import { createClient } from '../support/client.ts'
import { BOUND, element, message, number, startScripted, text } from '../support/ldap-messages.ts'
import { readResponse } from '../support/raw.ts'
import { scrape } from '../support/scrape.ts'
import {
  directoryConfiguration,
  hasSlapd,
  startDirectory,
  type TestDirectory,
} from '../support/slapd.ts'

const PATH = '/gatehouse/api/v1/certificates'
const PODS = '/api/v1/namespaces/d/pods'
const AUTHENTICATIONS = 'gatehouse_authentications_total'

/** The body of a request for a certificate. */
const orderFor = (signIn: unknown, keys = newKeys()): string =>
  JSON.stringify({
    ...{ apiVersion: 'gatehouse/v1', kind: 'CertificateOrder' },
    ...{ request: certificateRequest({ keys }), signIn },
  })

describe.skipIf(!hasSlapd)('a password of a directory', () => {
  let slapd: TestDirectory
  let attack: Attack

  beforeAll(async () => {
    slapd = await startDirectory()
  })
  // A Gatehouse for each test, since attempts are counted.
  beforeEach(async () => {
    const { directory, files } = directoryConfiguration(slapd, {
      attempts: { perUser: 3, perAddress: 8, window: '30m' },
    })
    attack = await startAttack({
      issuing: { issuers: [], directories: [directory] },
      files,
      configuration: { limits: { failedSignIns: { banAfter: 9 } } },
    })
    attack.keepSecret(slapd.password)
    attack.keepSecret(slapd.bindPassword)
    return async () => {
      await attack.expectNoSecretLeaked()
      await attack.close()
    }
  })
  afterAll(() => slapd.stop())

  interface Asked {
    readonly username?: string
    readonly password?: string
    readonly method?: string
    readonly token?: string
    readonly signIn?: unknown
  }

  async function ask(asked: Asked = {}) {
    const { username = 'ada', password = slapd.password, method = 'company-ldap', token } = asked
    const keys = newKeys()
    const client = createClient({
      ...{ url: attack.gatehouse.url, ca: attack.gatehouse.ca },
      ...(token === undefined ? {} : { token }),
    })
    const { status, body } = await client.ask(PATH, {
      method: 'POST',
      body: orderFor('signIn' in asked ? asked.signIn : { method, username, password }, keys),
    })
    await client.close()
    const { certificate = '', message = '' } = JSON.parse(body) as Record<string, string>
    const keyPem = keys.privateKey.export({ type: 'pkcs8', format: 'pem' })
    return { status, message, pair: { certificatePem: certificate, keyPem } as KeyPair }
  }

  /** Signs ada in from another address, and returns the status code. */
  async function askFrom(localAddress: string, password: string): Promise<number> {
    const connection = await attack.connect({ localAddress })
    const body = JSON.stringify({
      ...{ apiVersion: 'gatehouse/v1', kind: 'CertificateOrder' },
      request: certificateRequest(),
      signIn: { method: 'company-ldap', username: 'ada', password },
    })
    const length = Buffer.byteLength(body)
    connection.write(
      `POST ${PATH} HTTP/1.1\r\nHost: gatehouse\r\nContent-Length: ${length}\r\n\r\n${body}`,
    )
    const { status } = await readResponse(connection)
    connection.destroy()
    return status
  }

  test('gets a certificate for the user and the groups of the directory', async () => {
    const { status, pair } = await ask({ username: 'ADA' })
    expect(status).toBe(201)
    const { received, events } = await attack.watching(async () => {
      const { url, ca } = attack.gatehouse
      const client = createClient({ url, ca, certificate: pair })
      expect(await client.ask(PODS)).toMatchObject({ status: 200 })
      await client.close()
    })
    expect(headerValues(received[0]!, 'impersonate-user')).toEqual(['ldap:ada'])
    expect(headerValues(received[0]!, 'impersonate-uid')).toEqual(['E-ada'])
    expect(headerValues(received[0]!, 'impersonate-group')).toEqual([
      ...['ldap:developers', 'ldap:engineering', 'ldap:everyone', 'ldap:all'],
      'system:authenticated',
    ])
    expect(events.at(-1)).toMatchObject({
      annotations: {
        'authentication.gatehouse/source': 'ldap:company-ldap',
        'authentication.gatehouse/certificate-serial': new X509Certificate(pair.certificatePem)
          .serialNumber,
      },
    })
  })

  test('that is wrong is one audited refusal, which does not say what was wrong', async () => {
    attack.keepSecret('typed by mistake')
    const { value, events } = await attack.watching(async () => [
      await ask({ password: 'typed by mistake' }),
      await ask({ username: 'nobody' }),
    ])
    expect(new Set(value.map(({ status, message }) => `${status} ${message}`))).toEqual(
      new Set(['401 the user name or the password is wrong']),
    )
    expect(events).toMatchObject([
      { user: {}, responseStatus: { code: 401 } },
      { user: {}, responseStatus: { code: 401 } },
    ])
    expect(events[0]!.annotations['gatehouse/cause']).toContain('uid=ada')
  })

  test.for([
    ['double', 'the attribute uid of "uid=double,ou=people,dc=example,dc=com" has several values'],
    ['deep', 'groups are nested more than 10 deep'],
  ] as const)(
    'that is right for a user who cannot be taken over (%s) is not a failed attempt, and only then one learns that',
    async ([username, problem]) => {
      attack.keepSecret('typed by mistake')
      const { value, events } = await attack.watching(async () => {
        const found = [await ask({ username, password: 'typed by mistake' })]
        for (let i = 0; i < 4; i++) found.push(await ask({ username }))
        return found
      })
      expect(value.map(({ status, message }) => `${status} ${message}`)).toEqual([
        '401 the user name or the password is wrong',
        ...Array.from(
          { length: 4 },
          () =>
            '403 the directory accepts the password, but what it says of your account cannot be used: contact your Gatehouse administrator',
        ),
      ])
      expect(events.map(({ annotations }) => annotations['gatehouse/cause'])).toEqual([
        expect.stringContaining('rejects the password'),
        ...Array.from({ length: 4 }, () => `company-ldap: ${problem}`),
      ])
      expect(attack.gatehouse.log.join('')).toContain(
        'a user of a directory has the right password, but cannot sign in',
      )
    },
  )

  test.for([{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }])(
    'is not tried for a page that a user happens to visit: %j',
    async (headers) => {
      const before = (await slapd.log()).length
      const { url, ca } = attack.gatehouse
      const client = createClient({ url, ca })
      const { status } = await client.ask(PATH, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'text/plain' },
        body: orderFor({ method: 'company-ldap', username: 'ada', password: 'wrong' }),
      })
      await client.close()
      expect(status).toBe(403)
      expect((await slapd.log()).slice(before)).not.toContain('BIND')
    },
  )

  test('is tried only so often for one user, in whatever spelling, and several at once count', async () => {
    const spellings = ['ada', 'ADA', 'Ada', ' ada', 'ada ', 'aDa']
    const before = (await slapd.log()).length
    const codes = await Promise.all(
      spellings.map(async (username) => (await ask({ username, password: 'wrong' })).status),
    )
    expect(codes.filter((code) => code === 401).length).toBeLessThanOrEqual(2)
    expect(codes).toContain(429)
    const binds =
      (await slapd.log()).slice(before).match(/BIND dn="uid=ada,[^"]*" method=128/g) ?? []
    expect(binds.length).toBeLessThanOrEqual(2)
    // Not even the right one is tried now, and another user is not affected.
    expect((await ask()).status).toBe(429)
    expect((await ask({ username: 'grace' })).status).toBe(201)
    // Nor is the user at another address, with what is left.
    expect(await askFrom('127.0.0.2', slapd.password)).toBe(201)
    expect(await askFrom('127.0.0.3', 'wrong')).toBe(401)
    expect(await askFrom('127.0.0.2', slapd.password)).toBe(429)
  })

  test('is tried only so often from one address', async () => {
    const codes = []
    for (let i = 0; i < 10; i++) codes.push((await ask({ username: `user-${i}` })).status)
    expect(codes).toEqual([...Array.from({ length: 8 }, () => 401), 429, 429])
    expect(await scrape(attack.gatehouse, 'gatehouse_limited_total', AUTHENTICATIONS)).toEqual([
      `${AUTHENTICATIONS}{method="ldap",result="refused"} 8`,
      'gatehouse_limited_total{limit="passwords"} 2',
    ])
  })

  test('that is right does not count as an attempt', async () => {
    const codes = []
    for (let i = 0; i < 10; i++) codes.push((await ask()).status)
    expect(codes).toEqual(Array.from({ length: 10 }, () => 201))
    expect(await scrape(attack.gatehouse, AUTHENTICATIONS)).toEqual([
      `${AUTHENTICATIONS}{method="ldap",result="ok"} 10`,
    ])
  })

  test.for<readonly [what: string, asked: Asked, code: number]>([
    ['an empty password', { password: '' }, 401],
    ['a filter', { username: '*' }, 401],
    ['another directory', { method: 'other' }, 400],
    ['a text', { signIn: 'ada:x' }, 400],
    [
      'a list as a password',
      { signIn: { method: 'company-ldap', username: 'ada', password: [] } },
      400,
    ],
    ['nothing', { signIn: undefined }, 401],
  ])('%s in its place is refused', async ([, asked, code]) => {
    expect((await ask(asked)).status).toBe(code)
  })

  test('beside a token is refused', async () => {
    const token = await attack.gatehouse.token({ groups: [] })
    expect(await ask({ token })).toMatchObject({
      status: 400,
      message: expect.stringContaining('send only one of them') as string,
    })
  })

  test('is not a credential anywhere else', async () => {
    const { url, ca } = attack.gatehouse
    const client = createClient({ url, ca })
    const basic = Buffer.from(`ada:${slapd.password}`).toString('base64')
    for (const path of [PATH, PODS, '/gatehouse/api/whoami']) {
      const method = path === PATH ? 'POST' : 'GET'
      const headers = { authorization: `Basic ${basic}` }
      expect(await client.ask(path, { method, headers })).toMatchObject({ status: 401 })
    }
    await client.close()
  })

  test('has a name space of its own: a certificate of a client CA cannot name its users', async () => {
    const { url, ca } = attack.gatehouse
    for (const subject of [
      { commonName: 'ldap:ada' },
      { commonName: 'x', organizations: ['ldap:all'] },
    ]) {
      const certificate = await attack.gatehouse.certificate(subject)
      const client = createClient({ url, ca, certificate })
      expect(await client.ask(PODS)).toMatchObject({
        status: 403,
        body: expect.stringContaining('prefix of the directory') as string,
      })
      await client.close()
    }
  })
})

test.skipIf(!hasSlapd)(
  'passwords that a directory rejects count towards the ban of their address, which a right one passes',
  async () => {
    const slapd = await startDirectory()
    const { directory, files } = directoryConfiguration(slapd, { attempts: { perUser: 4 } })
    const attack = await startAttack({
      issuing: { issuers: [], directories: [directory] },
      files,
      configuration: { limits: { failedSignIns: { banAfter: 2 } } },
    })
    const client = createClient({ url: attack.gatehouse.url, ca: attack.gatehouse.ca })
    const found: [status: number, body: string][] = []
    for (const password of ['wrong', 'wrong', slapd.password]) {
      const { status, body } = await client.ask(PATH, {
        method: 'POST',
        body: orderFor({ method: 'company-ldap', username: 'ada', password }),
      })
      found.push([status, body])
    }
    expect(found).toEqual([
      [401, expect.stringContaining('the user name or the password is wrong')],
      [429, expect.stringContaining('too many failed sign-ins from this address')],
      [201, expect.stringContaining('IssuedCertificate')],
    ])
    await client.close()
    await attack.close()
    await slapd.stop()
  },
)

test.skipIf(!hasSlapd)(
  'while the directory cannot be reached, a sign-in gets 503 and no attempt is lost',
  async () => {
    const slapd = await startDirectory()
    const { directory, files } = directoryConfiguration(slapd)
    const attack = await startAttack({ issuing: { issuers: [], directories: [directory] }, files })
    await slapd.stop()
    const client = createClient({ url: attack.gatehouse.url, ca: attack.gatehouse.ca })
    for (let i = 0; i < 4; i++) {
      const { status, body } = await client.ask(PATH, {
        method: 'POST',
        body: orderFor({ method: 'company-ldap', username: 'ada', password: 'x' }),
      })
      expect([status, body]).toEqual([
        503,
        expect.stringContaining('the directory cannot be reached'),
      ])
    }
    expect(attack.gatehouse.log.join('')).toContain('ECONNREFUSED')
    expect(await scrape(attack.gatehouse, AUTHENTICATIONS)).toEqual([
      `${AUTHENTICATIONS}{method="ldap",result="failed"} 4`,
    ])
    await client.close()
    await attack.close()
  },
)

/** Tries to sign ada in at a directory that has something wrong; returns the codes. */
async function tryOften({ gatehouse }: Attack, times: number): Promise<readonly number[]> {
  const client = createClient({ url: gatehouse.url, ca: gatehouse.ca })
  const codes: number[] = []
  for (let i = 0; i < times; i++) {
    const { status } = await client.ask(PATH, {
      method: 'POST',
      body: JSON.stringify({
        ...{ apiVersion: 'gatehouse/v1', kind: 'CertificateOrder' },
        request: certificateRequest(),
        signIn: { method: 'company-ldap', username: 'ada', password: 'x' },
      }),
    })
    codes.push(status)
  }
  await client.close()
  return codes
}

test.skipIf(!hasSlapd)(
  'a service account that is rejected is not locked by clients who try to sign in',
  async () => {
    const slapd = await startDirectory()
    const { directory, files } = directoryConfiguration(slapd)
    const attack = await startAttack({
      issuing: { issuers: [], directories: [directory] },
      files: { ...files, 'ldap-password': 'earlier password\n' },
      waitsForReadiness: false,
    })
    expect(await tryOften(attack, 8)).toEqual(Array.from({ length: 8 }, () => 503))
    // Gatehouse's own check, and perhaps a sign-in at the same time.
    const binds = (await slapd.log()).match(/BIND dn="cn=gatehouse,[^"]*" method=128/g) ?? []
    expect(binds.length).toBeLessThanOrEqual(2)
    expect(attack.gatehouse.log.join('')).toContain('does not accept')
    await attack.close()
    await slapd.stop()
  },
)

test('what a directory says of a failure is in no log: it may repeat a password, or be a megabyte', async () => {
  const said = 'service secret\n[+]ping ok\n'.repeat(2_000)
  const failure = element(BOUND, number(80, 0x0a), text(''), text(said))
  const { url, ca } = await startScripted((id) => message(id, failure))
  const attack = await startAttack({
    issuing: {
      issuers: [],
      directories: [
        {
          ...{ name: 'company-ldap', servers: [url], caFile: 'ldap-ca.crt' },
          ...{ bindDN: 'cn=gatehouse', bindPasswordFile: 'ldap-password' },
          users: { baseDN: 'dc=x' },
          ...{ usernamePrefix: 'ldap:', groupPrefix: 'ldap:' },
        },
      ],
    },
    files: { 'ldap-ca.crt': ca, 'ldap-password': 'service secret\n' },
    waitsForReadiness: false,
  })
  attack.keepSecret('service secret')
  expect(await tryOften(attack, 1)).toEqual([503])
  await attack.expectNoSecretLeaked()
  const readyz = await (await fetch(`${attack.gatehouse.probesUrl}/readyz?verbose`)).text()
  expect(readyz).toContain('directory company-ldap')
  expect(readyz).toContain('LDAP result 80')
  expect(readyz).not.toContain('service secret')
  await attack.close()
})

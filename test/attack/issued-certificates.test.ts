/**
 * Certificates that Gatehouse issues: for whom it does not, what of a client's request has no influence, and
 * who may use one.
 */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

import { parse, stringify } from 'yaml'

import { createAuthority, type KeyPair } from '../../certs-dev/pki.ts'
import { CLIENT_CAS, headerValues, startApiServer, type ApiHandler } from '../support/api-server.ts'
import { startAttack, type Attack, type AttackOptions } from '../support/attack.ts'
import { certificateRequest, newKeys, type Keys } from '../support/certificate-request.ts'
import { createClient, type ClientResponse } from '../support/client.ts'
import { replaceFile } from '../support/files.ts'

const PATH = '/gatehouse/api/v1/certificates'
const PODS = '/api/v1/namespaces/d/pods'
const HOUR_S = 3_600
const nowSeconds = (): number => Math.floor(Date.now() / 1_000)

let attack: Attack

/** Claims of a fresh sign-in. */
const fresh = (claims: Readonly<Record<string, unknown>> = {}) => ({
  groups: ['dev'],
  auth_time: nowSeconds() - 10,
  ...claims,
})

interface Asked {
  readonly claims?: Readonly<Record<string, unknown>>
  readonly certificate?: KeyPair
  readonly body?: string
  readonly keys?: Keys
  readonly order?: Readonly<Record<string, unknown>>
  readonly method?: string
  readonly headers?: Record<string, string>
}

async function ask(asked: Asked = {}): Promise<ClientResponse> {
  const { claims = fresh(), certificate, keys = newKeys(), order, method = 'POST' } = asked
  const token =
    certificate === undefined || asked.claims ? await attack.gatehouse.token(claims) : undefined
  if (token !== undefined) attack.keepSecret(token)
  const client = createClient({
    url: attack.gatehouse.url,
    ca: attack.gatehouse.ca,
    ...(token === undefined ? {} : { token }),
    ...(certificate === undefined ? {} : { certificate }),
  })
  try {
    const body = {
      apiVersion: 'gatehouse/v1',
      kind: 'CertificateOrder',
      request: certificateRequest({ keys }),
      ...order,
    }
    return await client.ask(PATH, {
      method,
      ...(method === 'POST' ? { body: asked.body ?? JSON.stringify(body) } : {}),
      headers: { 'content-type': 'application/json', ...asked.headers },
    })
  } finally {
    await client.close()
  }
}

async function issue(asked: Asked = {}): Promise<KeyPair> {
  const keys = asked.keys ?? newKeys()
  const { status, body } = await ask({ ...asked, keys })
  expect([status, body]).toEqual([201, expect.stringContaining('IssuedCertificate')])
  const { certificate } = JSON.parse(body) as { certificate: string }
  const keyPem = keys.privateKey.export({ type: 'pkcs8', format: 'pem' })
  return { certificatePem: certificate, keyPem }
}

async function get(path: string, certificate: KeyPair, token?: string) {
  const client = createClient({
    ...{ url: attack.gatehouse.url, ca: attack.gatehouse.ca, certificate },
    ...(token === undefined ? {} : { token }),
  })
  try {
    return await client.ask(path)
  } finally {
    await client.close()
  }
}

async function refusal(asked: Asked): Promise<readonly [number, string]> {
  const { status, body } = await ask(asked)
  const { message } = JSON.parse(body) as { message: string }
  return [status, message]
}

async function start(options: AttackOptions = {}): Promise<void> {
  attack = await startAttack({ issuing: { maxLifetime: '1h', maxSignInAge: '8h' }, ...options })
}

describe('with a CA of its own', () => {
  beforeAll(() => start())
  afterAll(async () => {
    await attack.expectNoSecretLeaked()
    await attack.close()
  })

  test('a fresh sign-in gets a certificate, with which the API server sees the same user', async () => {
    const claims = fresh({ groups: ['dev', 'système', 'a,b', '#hex', 'x=y+z', '"q"', '\\', 'dev'] })
    const pair = await issue({ claims })
    const token = await attack.gatehouse.token(claims)
    const users = []
    for (const by of ['certificate', 'token']) {
      const { received } = await attack.watching(async () => {
        const client = createClient({
          ...{ url: attack.gatehouse.url, ca: attack.gatehouse.ca },
          ...(by === 'token' ? { token } : { certificate: pair }),
        })
        expect(await client.ask(PODS)).toMatchObject({ status: 200 })
        await client.close()
      })
      const names = ['impersonate-user', 'impersonate-group', 'impersonate-uid']
      users.push(names.map((name) => headerValues(received[0]!, name)))
    }
    expect(users[0]).toEqual(users[1])
    expect(users[0]).toEqual([
      ['oidc:ada'],
      [
        ...[
          'oidc:dev',
          'oidc:système',
          'oidc:a,b',
          'oidc:#hex',
          'oidc:x=y+z',
          'oidc:"q"',
          'oidc:\\',
        ],
        'system:authenticated',
      ].map((name) => Buffer.from(name).toString('latin1')),
      [],
    ])
  })

  test('the request of the client gives the key and nothing else', async () => {
    const keys = newKeys()
    const { certificatePem } = await issue({ keys })
    const certificate = new X509Certificate(certificatePem)
    expect(certificate.publicKey.equals(keys.publicKey)).toBe(true)
    expect(certificate.subject).not.toContain('admin')
    expect([certificate.ca, certificate.subjectAltName]).toEqual([false, undefined])
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
  })

  test('issuance and use have the same serial number in the audit log', async () => {
    await attack.settled()
    const { value, events } = await attack.watching(async () => {
      const pair = await issue()
      await get(PODS, pair)
      return new X509Certificate(pair.certificatePem)
    })
    expect(events).toMatchObject([
      {
        requestURI: PATH,
        user: { username: 'oidc:ada' },
        responseStatus: { code: 201 },
        annotations: {
          'gatehouse/issuedSerial': value.serialNumber,
          'gatehouse/issuedFor': attack.gatehouse.issuer.url,
          'gatehouse/issuedNotAfter': value.validToDate.toISOString(),
        },
      },
      {
        requestURI: PODS,
        annotations: {
          'gatehouse/method': 'issued-certificate',
          'authentication.gatehouse/certificate-serial': value.serialNumber,
          'authentication.gatehouse/source': attack.gatehouse.issuer.url,
        },
      },
    ])
  })

  test.for([
    ['the configured limit', { auth_time: nowSeconds() - 10 }, {}, HOUR_S],
    ['what the client asks for', { auth_time: nowSeconds() - 10 }, { lifetimeSeconds: 600 }, 600],
    [
      'the configured limit, also if the client asks for more',
      {},
      { lifetimeSeconds: 86_400 },
      HOUR_S,
    ],
    ['the age of the sign-in', { auth_time: nowSeconds() - 8 * HOUR_S + 900 }, {}, 900],
  ] as const)('a certificate lasts no longer than %s', async ([, claims, order, seconds]) => {
    const { certificatePem } = await issue({ claims: fresh(claims), order })
    const { validFromDate, validToDate } = new X509Certificate(certificatePem)
    const left = (validToDate.getTime() - Date.now()) / 1_000
    expect(left).toBeLessThanOrEqual(seconds)
    expect(left).toBeGreaterThan(seconds - 60)
    expect(validFromDate.getTime()).toBeLessThanOrEqual(Date.now() - 59_000)
  })

  test.for<
    readonly [
      what: string,
      claims: Readonly<Record<string, unknown>>,
      code: number,
      message: RegExp,
    ]
  >([
    ['an old sign-in', { auth_time: nowSeconds() - 8 * HOUR_S }, 401, /sign-in is too old/],
    ['a sign-in of unknown age', { auth_time: undefined }, 403, /does not say when you signed in/],
    ['a sign-in whose time is a text', { auth_time: `${nowSeconds()}` }, 403, /does not say when/],
    ['a sign-in in the future', { auth_time: nowSeconds() + 3_600 }, 403, /in the future/],
    ['a sign-in in the year 50000', { auth_time: 1.5e12 }, 403, /in the future/],
    ['a sign-in at the beginning', { auth_time: 0 }, 403, /does not say when/],
    ['a token without its groups', { groups: undefined }, 403, /does not state your groups/],
    ['a token whose groups are null', { groups: null }, 403, /does not state your groups/],
    ['a DPoP token', { cnf: { jkt: 'x' } }, 401, /^Unauthorized$/],
    [
      'a token bound to a certificate that is not there',
      { cnf: { 'x5t#S256': 'A'.repeat(43) } },
      401,
      /^Unauthorized$/,
    ],
    ['an identity of Kubernetes', { groups: ['dev '] }, 403, /begins or ends with whitespace/],
    [
      'more groups than a certificate takes',
      { groups: Array.from({ length: 400 }, (_, i) => `team-${i}-with-a-long-name`) },
      403,
      /your 401 groups would have \d+ bytes/,
    ],
  ])('%s gets no certificate, and the refusal is audited', async ([, claims, code, message]) => {
    await attack.settled()
    const { value, events } = await attack.watching(() => refusal({ claims: fresh(claims) }))
    expect(value).toEqual([code, expect.stringMatching(message)])
    expect(events).toMatchObject([{ requestURI: PATH, responseStatus: { code } }])
    expect(events[0]!.annotations).not.toHaveProperty('gatehouse/issuedSerial')
  })

  test('a sign-in that is too old is refused as RFC 9470 says', async () => {
    const { headers } = await ask({ claims: fresh({ auth_time: nowSeconds() - 9 * HOUR_S }) })
    expect(headers['www-authenticate']).toContain('error="insufficient_user_authentication"')
    expect(headers['www-authenticate']).toContain(`max_age="${8 * HOUR_S}"`)
  })

  test('a client certificate gets no certificate, whoever has issued it', async () => {
    const ofOthers = await attack.gatehouse.certificate({ organizations: ['dev'] })
    const own = await issue()
    for (const certificate of [ofOthers, own]) {
      expect(await refusal({ certificate })).toEqual([
        403,
        expect.stringContaining('not for a client certificate'),
      ])
    }
  })

  test('nobody gets no certificate', async () => {
    const client = createClient({ url: attack.gatehouse.url, ca: attack.gatehouse.ca })
    expect(await client.ask(PATH, { method: 'POST', body: '{}' })).toMatchObject({ status: 401 })
    await client.close()
  })

  test.for([
    ['another method', { method: 'GET' }, 405],
    ['no JSON', { body: 'request' }, 400],
    ['a list', { body: '[]' }, 400],
    [
      'a member twice',
      { body: '{"apiVersion":"gatehouse/v1","kind":"CertificateOrder","kind":"x"}' },
      400,
    ],
    ['another kind', { order: { kind: 'CertificateSigningRequest' } }, 400],
    ['another version', { order: { apiVersion: 'gatehouse/v2' } }, 400],
    ['no request', { order: { request: undefined } }, 400],
    ['a request that is a list', { order: { request: [] } }, 400],
    ['a request that is text', { order: { request: 'x' } }, 400],
    ['a lifetime that is text', { order: { lifetimeSeconds: '600' } }, 400],
    ['a negative lifetime', { order: { lifetimeSeconds: -1 } }, 400],
    ['an endless lifetime', { order: { lifetimeSeconds: 1e300 } }, 400],
    ['a body of 20 KB', { body: JSON.stringify({ pad: 'x'.repeat(20_000) }) }, 400],
    ['impersonation', { headers: { 'impersonate-user': 'eve' } }, 403],
  ] as const)('%s is refused', async ([, asked, code]) => {
    expect(await ask({ ...asked, claims: fresh({ sub: 'eve' }) })).toMatchObject({ status: code })
  })

  test('a certificate of the same name from another CA is not one of Gatehouse', async () => {
    const authority = await createAuthority({ commonName: 'issuing' })
    const forged = await authority.issue({ commonName: 'oidc:ada', usages: ['client'] })
    expect(await get(PODS, forged)).toMatchObject({ status: 401 })
  })

  test('a client CA cannot give the names of an issuer, though Gatehouse itself can', async () => {
    const forged = await attack.gatehouse.certificate({ commonName: 'oidc:ada' })
    const { status, body } = await get(PODS, forged)
    expect([status, body]).toEqual([403, expect.stringContaining('begins with the prefix')])
  })

  test('a certificate that the key of the CA signed without a sign-in is refused', async () => {
    const bare = await attack.gatehouse.issuingAuthority.issue({
      ...{ commonName: 'oidc:ada', usages: ['client'] },
    })
    expect(await get(PODS, bare)).toMatchObject({ status: 401 })
  })

  test('an issued certificate beside a token is refused, unless the token is bound to it', async () => {
    const pair = await issue()
    const digest = Buffer.from(
      new X509Certificate(pair.certificatePem).fingerprint256.replaceAll(':', ''),
      'hex',
    )
    const bound = {
      cnf: { 'x5t#S256': digest.toString('base64url') },
      sub: 'grace',
      groups: ['ops'],
    }
    const plain = await attack.gatehouse.token(fresh())
    expect(await get(PODS, pair, plain)).toMatchObject({
      status: 401,
      body: expect.stringContaining('send only one of them') as string,
    })
    const token = await attack.gatehouse.token(bound)
    const { value, received } = await attack.watching(() => get(PODS, pair, token))
    expect(value.status).toBe(200)
    // The token is the identity.
    expect(headerValues(received[0]!, 'impersonate-user')).toEqual(['oidc:grace'])
    const other = await issue()
    expect(await get(PODS, other, token)).toMatchObject({ status: 401 })
    const alone = createClient({ url: attack.gatehouse.url, ca: attack.gatehouse.ca, token })
    expect(await alone.ask(PODS)).toMatchObject({ status: 401 })
    await alone.close()
  })

  test('one user gets a limited number of certificates, and others still get theirs', async () => {
    const codes = []
    for (let i = 0; i < 25; i++)
      codes.push((await ask({ claims: fresh({ sub: 'greedy' }) })).status)
    expect(codes.filter((code) => code === 201).length).toBeLessThan(24)
    expect(codes.at(-1)).toBe(429)
    expect(await ask({ claims: fresh({ sub: 'modest' }) })).toMatchObject({ status: 201 })
  })
})

/** What the API server says about the CAs that it trusts. */
function publishing(data: Readonly<Record<string, string>>, status = 200): ApiHandler {
  return (request, response) => {
    const isMap = request.url === CLIENT_CAS
    response.writeHead(isMap ? status : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(isMap ? { kind: 'ConfigMap', data } : {}))
  }
}

describe('the issuing CA', () => {
  async function startWith(handlerOf: (own: Attack) => ApiHandler, issuing: object = {}) {
    const api = await startApiServer()
    // The first check comes before the CA is known to the test; it is repeated after a change.
    api.handler = publishing({}, 503)
    attack = await startAttack({ api, issuing: { ...issuing }, waitsForReadiness: false })
    api.handler = handlerOf(attack)
    onTestFinished(async () => {
      await attack.close()
      await api.close()
    })
    return api
  }

  test.for(['client-ca-file', 'requestheader-client-ca-file'])(
    'issues nothing while the API server trusts it by %s',
    async (key) => {
      await startWith(({ gatehouse }) =>
        publishing({
          [key]:
            gatehouse.clientAuthority.certificatePem + gatehouse.issuingAuthority.certificatePem,
        }),
      )
      await expect
        .poll(async () => (await fetch(`${attack.gatehouse.probesUrl}/readyz?verbose`)).text())
        .toMatch(/issuing-ca.*the API server trusts the issuing CA/)
      expect(await ask()).toMatchObject({ status: 503 })
    },
  )

  test('issues nothing while the API server does not say whom it trusts', async () => {
    await startWith(() => publishing({}, 500))
    expect(await ask()).toMatchObject({ status: 503 })
  })

  test.for([403, 404])('issues nothing where Gatehouse may not ask: %d', async (status) => {
    await startWith(() => publishing({}, status))
    await expect
      .poll(async () => (await fetch(`${attack.gatehouse.probesUrl}/readyz?verbose`)).text())
      .toMatch(/issuing-ca.*extension-apiserver-authentication-reader.*tolerateUncheckedCA/)
    expect(await ask()).toMatchObject({ status: 503 })
  })

  test('issues where Gatehouse may not ask only if that is accepted, and the log says so', async () => {
    await startWith(() => publishing({}, 403), { tolerateUncheckedCA: true })
    await expect.poll(async () => (await ask()).status).toBe(201)
    expect(attack.gatehouse.log.join('')).toContain('cannot check whether the API server trusts')
  })

  test('issues nothing while the API server trusts an earlier one', async () => {
    const next = await createAuthority({ commonName: 'next' })
    await startWith(({ gatehouse }) =>
      publishing({ 'client-ca-file': gatehouse.issuingAuthority.certificatePem }),
    )
    const { gatehouse } = attack
    await replaceFile(gatehouse.file('issuing-ca.key'), next.keyPem)
    await replaceFile(
      gatehouse.file('issuing-ca.crt'),
      next.certificatePem + gatehouse.issuingAuthority.certificatePem,
    )
    await expect
      .poll(async () => (await fetch(`${gatehouse.probesUrl}/readyz?verbose`)).text())
      .toMatch(/issuing-ca.*trusts an earlier issuing CA \(certificate 2 of 2\)/)
    expect(await ask()).toMatchObject({ status: 503 })
  })
})

describe('after a reload', () => {
  beforeAll(() => start())
  afterAll(() => attack.close())

  test('a certificate of a CA that was removed is refused, and its watch ends', async () => {
    const { gatehouse, api } = attack
    api.handler = (request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      if (request.url?.includes('watch') === true) response.write('{"type":"ADDED"}\n')
      else response.end(request.url === CLIENT_CAS ? '{"kind":"ConfigMap"}' : '{}')
    }
    const pair = await issue()
    const client = createClient({ url: gatehouse.url, ca: gatehouse.ca, certificate: pair })
    const watch = client.ask(`${PODS}?watch=true`).catch((error: unknown) => error)
    await expect.poll(() => api.received.some(({ url }) => url.includes('watch'))).toBe(true)
    const authority = await createAuthority({ commonName: 'issuing' })
    await replaceFile(gatehouse.file('issuing-ca.key'), authority.keyPem)
    await replaceFile(gatehouse.file('issuing-ca.crt'), authority.certificatePem)
    await watch
    expect(await get(PODS, pair)).toMatchObject({ status: 401 })
    await client.close()
    // An earlier CA behind the new one is still accepted.
    await replaceFile(
      gatehouse.file('issuing-ca.crt'),
      authority.certificatePem + gatehouse.issuingAuthority.certificatePem,
    )
    await expect.poll(async () => (await get(PODS, pair)).status).toBe(200)
    const next = await issue()
    expect(
      new X509Certificate(next.certificatePem).verify(
        new X509Certificate(authority.certificatePem).publicKey,
      ),
    ).toBe(true)
  })
})

describe('after the issuer got another prefix', () => {
  beforeAll(() => start())
  afterAll(() => attack.close())

  test.for(['username', 'groups'])(
    'of %s, a certificate with earlier names is refused, which may be those of others now',
    async (field) => {
      const file = attack.gatehouse.file('authentication.yaml')
      const before = await readFile(file, 'utf8')
      const pair = await issue()
      expect(await get(PODS, pair)).toMatchObject({ status: 200 })
      const configuration = parse(before) as {
        jwt: { claimMappings: Record<string, { prefix: string }> }[]
      }
      const mapping = configuration.jwt[0]?.claimMappings[field]
      if (mapping === undefined) throw new Error('the test issuer has no such mapping')
      mapping.prefix = 'company:'
      await replaceFile(file, stringify(configuration))
      await expect
        .poll(async () => {
          const { status, body } = await get(PODS, pair)
          return [status, body]
        })
        .toEqual([401, expect.stringContaining('Unauthorized')])
      const events = await attack.gatehouse.eventsWhere(
        ({ responseStatus }) => responseStatus?.code === 401,
      )
      expect(JSON.stringify(events)).toContain('no longer have such names: sign in again')
      // Somebody who signs in now gets one that is accepted.
      expect(await get(PODS, await issue())).toMatchObject({ status: 200 })
      await replaceFile(file, before)
      await expect.poll(async () => (await get(PODS, pair)).status).toBe(200)
    },
  )
})

describe('with locks', () => {
  const lockFile = (...locks: readonly object[]): string =>
    stringify({ apiVersion: 'gatehouse/v1', kind: 'Locks', locks })
  const locked = { user: 'oidc:mallory', reason: 'left the company' }

  beforeAll(() =>
    start({
      configuration: { locks: { file: 'locks.yaml' } },
      files: { 'locks.yaml': lockFile(locked) },
    }),
  )
  afterAll(() => attack.close())

  test('a locked user gets no certificate', async () => {
    expect(await refusal({ claims: fresh({ sub: 'mallory' }) })).toEqual([
      403,
      expect.stringContaining('left the company'),
    ])
  })

  test('a certificate is revoked by a lock on its serial number, and others are not', async () => {
    const [stolen, other] = [await issue(), await issue()]
    expect(await get(PODS, stolen)).toMatchObject({ status: 200 })
    const { serialNumber } = new X509Certificate(stolen.certificatePem)
    const lock = { certificateSerial: serialNumber, reason: 'stolen' }
    await replaceFile(attack.gatehouse.file('locks.yaml'), lockFile(locked, lock))
    await expect.poll(async () => (await get(PODS, stolen)).status).toBe(403)
    expect(await get(PODS, other)).toMatchObject({ status: 200 })
  })

  test('a lock of a token covers the certificates that it was exchanged for, and no others', async () => {
    const stolen = await issue({ claims: fresh({ jti: 'stolen' }) })
    const others = [await issue({ claims: fresh({ jti: 'other' }) }), await issue()]
    expect(await get(PODS, stolen)).toMatchObject({ status: 200 })
    const lock = { tokenID: 'stolen', reason: 'leaked' }
    await replaceFile(attack.gatehouse.file('locks.yaml'), lockFile(locked, lock))
    await expect.poll(async () => (await get(PODS, stolen)).status).toBe(403)
    expect((await get(PODS, stolen)).body).toContain('the token with the ID')
    for (const other of others) expect(await get(PODS, other)).toMatchObject({ status: 200 })
  })
})

describe('with groups of a file', () => {
  const members = stringify({
    apiVersion: 'gatehouse/v1',
    kind: 'GroupMemberships',
    groups: [{ name: 'admins', members: ['ada'] }],
  })

  beforeAll(() =>
    start({
      issuerOptions: { groupSource: { file: 'members.yaml', when: 'always' } },
      files: { 'members.yaml': members },
    }),
  )
  afterAll(() => attack.close())

  test('a certificate names those that were looked up for the user, beside those of the token', async () => {
    const certificate = await issue({ claims: fresh({ sub: 'ada', groups: ['dev'] }) })
    const { received } = await attack.watching(() => get(PODS, certificate))
    expect(headerValues(received[0]!, 'impersonate-group')).toEqual([
      ...['oidc:dev', 'oidc:admins', 'system:authenticated'],
    ])
  })
})

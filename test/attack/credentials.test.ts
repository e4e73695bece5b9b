/**
 * Missing, duplicate, forged and expired credentials, and reserved identities: each request is
 * refused and audited once, and the credential is neither forwarded nor logged. There is no anonymous
 * access.
 */
import { createHmac } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import {
  createAuthority,
  loadAuthority,
  type Authority,
  type CertificateRequest,
  type KeyPair,
} from '../../certs-dev/pki.ts'
import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack, type Watched } from '../support/attack.ts'
import { replaceFile } from '../support/files.ts'
import { ERROR, headers } from '../support/http2-frames.ts'
import { readResponse, type RawResponse } from '../support/raw.ts'

const PATH = '/api/v1/namespaces/d/pods'
const NONE = `GET ${PATH} HTTP/1.1\r\nHost: gatehouse\r\n\r\n`

let attack: Attack

beforeAll(async () => {
  attack = await startAttack()
})

afterAll(async () => {
  await attack.expectNoSecretLeaked()
  await attack.close()
})

function withFields(fields: string, target = PATH): string {
  return `GET ${target} HTTP/1.1\r\nHost: gatehouse\r\n${fields}\r\n`
}

function secret(text: string): string {
  attack.keepSecret(text)
  return text
}

async function tried(bytes: string, certificate?: KeyPair): Promise<Watched<RawResponse>> {
  return attack.watching(async () => (await attack.send(bytes, certificate)).response)
}

function expectRefused({ value, received, events }: Watched<RawResponse>, code: number): void {
  expect(value.status).toBe(code)
  expect(JSON.parse(value.body)).toMatchObject({ kind: 'Status', status: 'Failure', code })
  // As in kube-apiserver: browsers must not show a login dialog.
  expect(value.head).not.toMatch(/www-authenticate/i)
  expect(received).toEqual([])
  expect(events).toMatchObject([{ stage: 'ResponseComplete', responseStatus: { code } }])
}

describe('a missing or malformed credential:', () => {
  test.for(['/version', '/healthz', '/livez', '/', '/api', '/openapi/v2', '/metrics', PATH])(
    'a request for %s without a credential is refused',
    async (target) => {
      expectRefused(await tried(withFields('', target)), 401)
    },
  )

  test.for([
    '',
    ' ',
    'foo',
    'bearer',
    'Bearer',
    'Bearer ',
    'bearertoken',
    'Bearer  two-blanks',
    'Bearer\ttab',
    'Bearer two words',
    'Bearer a.b.c',
    'Bearer ..',
    'Basic YWRhOmxvdmVsYWNl',
    'Negotiate YII=',
    'Digest username="ada"',
    'AWS4-HMAC-SHA256 Credential=x',
  ])('Authorization: %j is refused', async (value) => {
    const { events, ...rest } = await tried(withFields(`Authorization: ${value}\r\n`))
    expectRefused({ events, ...rest }, 401)
    expect(events[0]!.user).toEqual({})
  })

  test.for(['bearer', 'BEARER', 'bEaReR'])('the scheme may be spelled %s', async (scheme) => {
    const bearer = (await attack.bearer()).replace('Bearer', scheme)
    const { value, received } = await tried(withFields(bearer))
    expect(value.status).toBe(200)
    expect(received).toHaveLength(1)
  })

  test.for(['access_token', 'token', 'id_token'])(
    'a token in the query as %s is not a credential, and is not logged',
    async (name) => {
      const token = (await attack.bearer()).slice('Authorization: Bearer '.length).trim()
      expectRefused(await tried(withFields('', `${PATH}?${name}=${token}`)), 401)
    },
  )

  test.for(['access_token=a', 'limit=1&id_token=a', 'access%5Ftoken=a', 'ACCESS_TOKEN=a', 'token'])(
    'the query %s beside a credential is refused',
    async (query) => {
      expectRefused(await tried(withFields(await attack.bearer(), `${PATH}?${query}`)), 400)
    },
  )

  test.for([
    [PATH, 'fieldManager=token'],
    ['/api/v1/namespaces/d/pods/p/proxy/', 'access_token=a'],
    ['/api/v1/namespaces/d/services/s/proxy/page', 'token=a'],
  ] as const)('the query of %s?%s is forwarded', async ([path, query]) => {
    const target = `${path}?${query}`
    const { value, received } = await tried(withFields(await attack.bearer(), target))
    expect(value.status).toBe(200)
    expect(received).toMatchObject([{ url: target }])
  })

  test('a token in a cookie is not a credential', async () => {
    const token = (await attack.bearer()).slice('Authorization: Bearer '.length).trim()
    expectRefused(await tried(withFields(`Cookie: token=${token}\r\n`)), 401)
  })

  test('a 401 ends an HTTP/2 session', async () => {
    const { value, received, events } = await attack.watching(async () => {
      const connection = await attack.connectHttp2()
      const fields = (await attack.fields(PATH)).filter(([name]) => name !== 'authorization')
      connection.send(headers(1, fields))
      const response = await connection.response(1)
      return { response, goaway: await connection.end() }
    })
    expect(value).toMatchObject({ response: { status: 401, whole: true }, goaway: ERROR.NO_ERROR })
    expect(received).toEqual([])
    expect(events).toMatchObject([{ responseStatus: { code: 401 } }])
  })
})

describe('a hostile token:', () => {
  const now = Math.floor(Date.now() / 1_000)

  test.for<readonly [what: string, claims: Record<string, unknown>, code: number]>([
    ['from another issuer', { iss: 'https://evil.example' }, 401],
    ['from an issuer in another spelling', { iss: 'HTTPS://127.0.0.1' }, 401],
    ['for another audience', { aud: 'other' }, 401],
    ['without an audience', { aud: [] }, 401],
    ['that has expired', { exp: now - 1 }, 401],
    ['without an expiry', { exp: undefined }, 401],
    ['with an expiry that is not a number', { exp: 'never' }, 401],
    ['that is not valid yet', { nbf: now + 3_600 }, 401],
    ['without a user', { sub: undefined }, 401],
    ['with an empty user', { sub: '' }, 401],
    ['with a user that is not a string', { sub: ['ada'] }, 401],
    ['with a user that ends with a space', { sub: 'ada ' }, 403],
    ['with a user that ends with a no-break space', { sub: 'ada\u00a0' }, 403],
    ['with a user that ends with a tab', { sub: 'ada\t' }, 403],
    ['with a user of two lines', { sub: 'ada\r\nImpersonate-Group: system:masters' }, 403],
    ['with a NUL in the user', { sub: 'ada\0' }, 403],
    ['with half a surrogate pair in the user', { sub: 'ada\ud800' }, 403],
    ['with a user of 2 kB', { sub: 'a'.repeat(2_048) }, 403],
    [
      'with distributed groups',
      { _claim_names: { groups: 'a' }, _claim_sources: { a: { endpoint: 'https://a.example' } } },
      401,
    ],
    ['with a claim from no source', { _claim_names: { x: 'a' }, _claim_sources: {} }, 401],
  ])('a token %s is refused', async ([, claims, code]) => {
    expectRefused(await tried(withFields(await attack.bearer(claims))), code)
  })

  test.for<readonly [what: string, change: (parts: readonly string[]) => string]>([
    ['without its signature', ([header, payload]) => `${header}.${payload}.`],
    ['with two parts', ([header, payload]) => `${header}.${payload}`],
    ['with alg none', ([, payload]) => `${encode({ alg: 'none', typ: 'JWT' })}.${payload}.`],
    [
      'signed with HS256 and the public key as the secret',
      ([, payload]) => {
        const input = `${encode({ alg: 'HS256', kid: 'first' })}.${payload}`
        const key = JSON.stringify(attack.gatehouse.signingKey.publicJwk)
        return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
      },
    ],
    [
      'with changed claims',
      ([header, , signature]) =>
        `${header}.${encode({ iss: attack.gatehouse.issuer.url, aud: 'kubernetes', sub: 'root', exp: 9_999_999_999 })}.${signature}`,
    ],
    ['with an additional character', (parts) => `${parts.join('.')}A`],
    ['with padding', (parts) => `${parts.join('.')}==`],
    ['with a line break', ([header, payload, signature]) => `${header}.${payload}.\t${signature}`],
  ])('a token %s is refused', async ([, change]) => {
    const token = (await attack.bearer()).slice('Authorization: Bearer '.length).trim()
    const changed = secret(change(token.split('.')))
    expectRefused(await tried(withFields(`Authorization: Bearer ${changed}\r\n`)), 401)
  })

  test('a token of 40 kB is accepted, and one of 41 kB is refused', async () => {
    const padded = await attack.bearer({ padding: 'a'.repeat(29_700) })
    expect((await tried(withFields(padded))).value.status).toBe(200)
    const tooLong = await attack.bearer({ padding: 'a'.repeat(31_000) })
    expect(tooLong.length).toBeGreaterThan(41_000)
    expectRefused(await tried(withFields(tooLong)), 401)
  })

  test('an invalid token is refused every time, and a valid one is accepted in between', async () => {
    const bad = await attack.bearer({ aud: 'other' })
    const good = await attack.bearer()
    const { value } = await attack.watching(async () => {
      const statuses: number[] = []
      for (const bearer of [bad, good, bad, good]) {
        statuses.push((await attack.send(withFields(bearer))).response.status)
      }
      return statuses
    })
    expect(value).toEqual([401, 200, 401, 200])
  })
})

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

describe('a certificate with special names:', () => {
  test.for<readonly [what: string, subject: Partial<CertificateRequest>, code: number]>([
    ['the user system:admin', { commonName: 'system:admin' }, 403],
    ['the user system:anonymous', { commonName: 'system:anonymous' }, 403],
    ['a node', { commonName: 'system:node:a', organizations: ['system:nodes'] }, 403],
    ['a service account', { commonName: 'system:serviceaccount:kube-system:default' }, 403],
    ['the user SYSTEM:admin', { commonName: 'SYSTEM:admin' }, 403],
    ['the group system:masters', { organizations: ['system:masters'] }, 403],
    ['the group system:masters among others', { organizations: ['a', 'system:masters'] }, 403],
    ['the group System:Masters', { organizations: ['System:Masters'] }, 403],
    ['a space before system:masters', { organizations: [' system:masters'] }, 403],
    ['a tab before system:masters', { organizations: ['\tsystem:masters'] }, 403],
    ['a no-break space before system:masters', { organizations: ['\u00a0system:masters'] }, 403],
    ['a byte order mark before system:masters', { organizations: ['\ufeffsystem:masters'] }, 403],
    ['a space after a user', { commonName: 'ada ' }, 403],
    ['a newline in a user', { commonName: 'ada\nImpersonate-Group: system:masters' }, 403],
    ['a carriage return in a group', { organizations: ['a\rb'] }, 403],
    ['a NUL in a user', { commonName: 'ada\0.evil' }, 403],
    ['a NUL before a group', { organizations: ['\0system:masters'] }, 403],
    ['an empty group', { organizations: [''] }, 403],
    ['an empty user', { commonName: '' }, 401],
    ['the group system:authenticated', { organizations: ['system:authenticated'] }, 200],
    ['a user that only resembles a system identity', { commonName: 'xsystem:admin' }, 200],
    ['a group with a comma', { organizations: ['a,system:masters'] }, 200],
    ['a user with a plus and an equals sign', { commonName: 'ada+O=system:masters' }, 200],
    ['a user with a slash', { commonName: 'ada/O=system:masters' }, 200],
    ['a user in the form of another attribute', { commonName: 'O=system:masters' }, 200],
  ])('a certificate with %s (%j) gets a %d', async ([, subject, code]) => {
    const outcome = await tried(NONE, await attack.gatehouse.certificate(subject))
    expect(outcome.value.status).toBe(code)
    expect(outcome.events).toMatchObject([{ responseStatus: { code } }])
    const { commonName = 'ada', organizations = [] } = subject
    const groups = new Set([...organizations, 'system:authenticated'])
    expect(
      outcome.received.map((one) => [
        headerValues(one, 'impersonate-user'),
        headerValues(one, 'impersonate-group'),
      ]),
    ).toEqual(code === 200 ? [[[commonName], [...groups]]] : [])
  })
})

describe('a hostile client certificate:', () => {
  test.for<readonly [what: string, make: () => Promise<KeyPair>]>([
    [
      'of another CA',
      async () =>
        (await createAuthority({ commonName: 'users' })).issue({
          commonName: 'ada',
          usages: ['client'],
        }),
    ],
    [
      'that has expired',
      () => attack.gatehouse.certificate({ notAfter: new Date(Date.now() - 60_000) }),
    ],
    [
      'that is not valid yet',
      () =>
        attack.gatehouse.certificate({
          notBefore: new Date(Date.now() + 3_600_000),
          notAfter: new Date(Date.now() + 7_200_000),
        }),
    ],
    ['for servers', () => attack.gatehouse.certificate({ usages: ['server'] })],
    [
      'of the CA of Gatehouse’s serving certificate',
      () => attack.gatehouse.servingAuthority.issue({ commonName: 'ada', usages: ['client'] }),
    ],
    ['that Gatehouse itself uses at the API server', async () => attack.api.gatehouse],
    [
      'signed by a user’s certificate',
      async () => {
        const user = await attack.gatehouse.certificate()
        return (await loadAuthority(user)).issue({ commonName: 'root', usages: ['client'] })
      },
    ],
  ])('a certificate %s is refused', async ([, make]) => {
    expectRefused(await tried(NONE, await make()), 401)
  })

  test('a valid certificate beside a valid token is refused', async () => {
    const certificate = await attack.gatehouse.certificate()
    const bearer = await attack.bearer()
    expectRefused(await tried(withFields(bearer), certificate), 401)
  })

  test('an invalid certificate beside a valid token is refused, and vice versa', async () => {
    const other = await createAuthority({ commonName: 'other' })
    const bad = await other.issue({ commonName: 'ada', usages: ['client'] })
    expectRefused(await tried(withFields(await attack.bearer()), bad), 401)
    const good = await attack.gatehouse.certificate()
    const expired = await attack.bearer({ exp: 1 })
    expectRefused(await tried(withFields(expired), good), 401)
  })

  test('a valid certificate beside a Basic credential is refused', async () => {
    const certificate = await attack.gatehouse.certificate()
    expectRefused(
      await tried(withFields('Authorization: Basic YWRhOmxvdmVsYWNl\r\n'), certificate),
      401,
    )
  })
})

describe('a token among WebSocket subprotocols', () => {
  const upgrade = (protocols: string, more = ''): string =>
    withFields(
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${protocols}${more}`,
      `${PATH}/p/exec?command=ls`,
    )
  const carrier = async (claims?: Record<string, unknown>): Promise<string> => {
    const token = (await attack.bearer(claims)).slice('Authorization: Bearer '.length).trim()
    const encoded = secret(Buffer.from(token).toString('base64url'))
    return `base64url.bearer.authorization.k8s.io.${encoded}`
  }

  beforeAll(() => {
    attack.api.upgradeHandler = (_request, socket) => {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    }
  })

  afterAll(() => {
    attack.api.upgradeHandler = undefined
  })

  test.for<readonly [what: string, lines: (carrier: string) => string]>([
    ['in one field line', (one) => `Sec-WebSocket-Protocol: ${one}, v5.channel.k8s.io\r\n`],
    [
      'in a field line of its own',
      (one) => `Sec-WebSocket-Protocol: v5.channel.k8s.io\r\nSec-WebSocket-Protocol: ${one}\r\n`,
    ],
  ])('%s is accepted, and only the other subprotocol is forwarded', async ([, lines]) => {
    const { value, received, events } = await tried(upgrade(lines(await carrier())))
    expect(value.status).toBe(404)
    expect(headerValues(received[0]!, 'sec-websocket-protocol')).toEqual(['v5.channel.k8s.io'])
    expect(headerValues(received[0]!, 'impersonate-user')).toEqual(['oidc:ada'])
    expect(events).toMatchObject([{ user: { username: 'oidc:ada' } }])
  })

  test.for<readonly [what: string, lines: (carrier: string) => Promise<string> | string]>([
    ['without another subprotocol', (one) => `Sec-WebSocket-Protocol: ${one}\r\n`],
    ['twice', (one) => `Sec-WebSocket-Protocol: ${one}, ${one}, v5.channel.k8s.io\r\n`],
    [
      'for two users',
      async (one) =>
        `Sec-WebSocket-Protocol: ${one}, ${await carrier({ sub: 'eve' })}, v5.channel.k8s.io\r\n`,
    ],
    ['with padding', (one) => `Sec-WebSocket-Protocol: ${one}==, v5.channel.k8s.io\r\n`],
    [
      'that is cut off',
      (one) => `Sec-WebSocket-Protocol: ${one.slice(0, 60)}, v5.channel.k8s.io\r\n`,
    ],
    [
      'that is empty',
      () => 'Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io., v5.channel.k8s.io\r\n',
    ],
    [
      'beside another in Authorization',
      async (one) =>
        `Sec-WebSocket-Protocol: ${one}, v5.channel.k8s.io\r\n${await attack.bearer({ sub: 'eve' })}`,
    ],
  ])('%s is refused', async ([, lines]) => {
    expectRefused(await tried(upgrade(await lines(await carrier()))), 401)
  })

  test.for([
    ['an ordinary request', ''],
    ['an Upgrade that Connection does not name', 'Upgrade: websocket\r\n'],
    [
      'an upgrade to SPDY',
      'Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n',
    ],
    ['an upgrade to two protocols', 'Connection: Upgrade\r\nUpgrade: websocket, foo\r\n'],
  ] as const)('is not a credential on %s', async ([, fields]) => {
    const line = `Sec-WebSocket-Protocol: ${await carrier()}, v5.channel.k8s.io\r\n`
    const result = await tried(withFields(fields + line, `${PATH}/p/exec?command=ls`))
    expectRefused(result, 401)
    expect(result.events[0]!.annotations['gatehouse/cause']).toBe('no credential')
  })

  test('is not a second credential without an upgrade, and is not forwarded', async () => {
    const line = `Sec-WebSocket-Protocol: ${await carrier({ sub: 'eve' })}, v5.channel.k8s.io\r\n`
    const certificate = await attack.gatehouse.certificate({ commonName: 'grace' })
    for (const result of [
      await tried(withFields(line + (await attack.bearer({ sub: 'grace' })))),
      await tried(withFields(line), certificate),
    ]) {
      expect(result.value.status).toBe(200)
      expect(headerValues(result.received[0]!, 'impersonate-user')[0]).toMatch(/grace$/)
      expect(headerValues(result.received[0]!, 'sec-websocket-protocol')).toEqual([])
    }
  })

  test('behind a blank that is none in HTTP reaches nothing', async () => {
    const protocols = `v5.channel.k8s.io, \u00a0${await carrier()}`
    const lines = `Sec-WebSocket-Protocol: ${protocols}\r\n`
    expectRefused(await tried(upgrade(lines)), 401)
    expectRefused(await tried(upgrade(lines, await attack.bearer())), 400)
  })

  test('beside a client certificate is refused', async () => {
    const certificate = await attack.gatehouse.certificate()
    const lines = `Sec-WebSocket-Protocol: ${await carrier()}, v5.channel.k8s.io\r\n`
    expectRefused(await tried(upgrade(lines), certificate), 401)
  })
})

describe('trust that changes while connections are open', () => {
  let folder: string
  let first: Authority
  let second: Authority
  let certificate: KeyPair
  let changing: Attack

  const put = (name: string, text: string): Promise<void> => replaceFile(join(folder, name), text)

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-trust-'))
    first = await createAuthority({ commonName: 'first' })
    second = await createAuthority({ commonName: 'second' })
    certificate = await first.issue({ commonName: 'ada', usages: ['client'] })
    await put('ca.crt', first.certificatePem)
    await put('ca.crl', await first.revoke([]))
    changing = await startAttack({
      configuration: {
        authentication: {
          x509: { clientCAFile: join(folder, 'ca.crt'), crlFile: join(folder, 'ca.crl') },
        },
      },
    })
  })

  afterAll(async () => {
    await changing.expectNoSecretLeaked()
    await changing.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** Sends a request on an open connection; returns its status, undefined if the connection ends. */
  async function askAgain(connection: Awaited<ReturnType<Attack['connect']>>) {
    connection.write(NONE)
    const hasResponse = await connection.read((received, ended) =>
      received.length > 0 || ended ? { value: received.length > 0, bytes: 0 } : undefined,
    )
    return hasResponse ? (await readResponse(connection)).status : undefined
  }

  test('a revoked certificate is refused on the connection that it opened', async () => {
    const connection = await changing.connect({ certificate })
    const session = new Promise<Buffer>((resolve) => connection.socket.once('session', resolve))
    expect(await askAgain(connection)).toBe(200)
    await put('ca.crl', await first.revoke([certificate.certificatePem]))
    changing.gatehouse.gatehouse.reload()
    expect([401, undefined]).toContain(await askAgain(connection))
    connection.destroy()
    expect((await changing.send(NONE, certificate)).response.status).toBe(401)

    const resumed = await changing.connect({ certificate, session: await session })
    resumed.write(NONE)
    expect((await readResponse(resumed)).status).toBe(401)
    resumed.destroy()
  })

  test('a certificate is refused on open connections when the revocation list of its CA expires', async () => {
    const soon = () => new Date(Date.now() + 4_000)
    await put('ca.crl', await first.revoke([], { nextUpdate: soon() }))
    changing.gatehouse.gatehouse.reload()
    const connection = await changing.connect({ certificate })
    const session = await changing.connectHttp2({ certificate })
    const fields = (await changing.fields(PATH)).filter(([name]) => name !== 'authorization')
    expect(await askAgain(connection)).toBe(200)
    session.send(headers(1, fields))
    expect((await session.response(1)).status).toBe(200)
    await sleep(5_000)
    const { events } = await changing.watching(async () => {
      expect(await askAgain(connection)).toBe(401)
      session.send(headers(3, fields))
      expect((await session.response(3)).status).toBe(401)
    })
    for (const { annotations } of events) {
      expect(annotations['gatehouse/cause']).toMatch(/a revocation list, has expired since/)
    }
    // The client has to connect again, which gives it the current verdict.
    expect(
      await connection.read((_, ended) => (ended ? { value: true, bytes: 0 } : undefined)),
    ).toBe(true)
    connection.destroy()
    session.raw.destroy()
    await put('ca.crl', await first.revoke([]))
    changing.gatehouse.gatehouse.reload()
    expect((await changing.send(NONE, certificate)).response.status).toBe(200)
  })

  test('a revoked certificate is refused on an open HTTP/2 session', async () => {
    await put('ca.crl', await first.revoke([]))
    changing.gatehouse.gatehouse.reload()
    const connection = await changing.connectHttp2({ certificate })
    const fields = (await changing.fields(PATH)).filter(([name]) => name !== 'authorization')
    connection.send(headers(1, fields))
    expect((await connection.response(1)).status).toBe(200)
    await put('ca.crl', await first.revoke([certificate.certificatePem]))
    changing.gatehouse.gatehouse.reload()
    connection.send(headers(3, fields))
    const { status } = await connection.response(3)
    expect([401, undefined]).toContain(status)
    connection.raw.destroy()
  })

  test('certificates of a replaced CA are refused', async () => {
    const before = await first.issue({ commonName: 'bob', usages: ['client'] })
    const connection = await changing.connect({ certificate: before })
    expect(await askAgain(connection)).toBe(200)
    await put('ca.crt', second.certificatePem)
    await put('ca.crl', await second.revoke([]))
    changing.gatehouse.gatehouse.reload()
    expect([401, undefined]).toContain(await askAgain(connection))
    connection.destroy()
    expect((await changing.send(NONE, before)).response.status).toBe(401)
    const after = await second.issue({ commonName: 'bob', usages: ['client'] })
    expect((await changing.send(NONE, after)).response.status).toBe(200)
  })

  test('a broken CA file does not change anything', async () => {
    await put('ca.crt', 'no certificate')
    changing.gatehouse.gatehouse.reload()
    const after = await second.issue({ commonName: 'bob', usages: ['client'] })
    expect((await changing.send(NONE, after)).response.status).toBe(200)
    const before = await first.issue({ commonName: 'bob', usages: ['client'] })
    expect((await changing.send(NONE, before)).response.status).toBe(401)
  })
})

test('a client certificate is refused if x509 is not configured', async () => {
  const tokensOnly = await startAttack({ without: ['x509'] })
  const certificate = await tokensOnly.gatehouse.certificate()
  const { value, received } = await tokensOnly.watching(() => tokensOnly.send(NONE, certificate))
  await tokensOnly.close()
  expect(value.response.status).toBe(401)
  expect(received).toEqual([])
})

describe('a certificate with a name of an issuer', () => {
  test.for([
    ['as its common name', { commonName: 'oidc:ada' }, 'user name \\"oidc:ada\\"'],
    ['as a bare prefix', { commonName: 'oidc:' }, 'user name \\"oidc:\\"'],
    ['as an organization', { organizations: ['dev', 'oidc:dev'] }, 'group \\"oidc:dev\\"'],
  ] as const)('%s is refused', async ([, subject, named]) => {
    const certificate = await attack.gatehouse.certificate(subject)
    const result = await tried(NONE, certificate)
    expectRefused(result, 403)
    expect(result.value.body).toContain(`identity rejected: ${named} begins with the prefix`)
  })

  test('is accepted where the issuer shares its names', async () => {
    const sharing = await startAttack({ issuerOptions: { sharesNames: true } })
    const certificate = await sharing.gatehouse.certificate({ commonName: 'oidc:ada' })
    const { value, received } = await sharing.watching(() => sharing.send(NONE, certificate))
    await sharing.close()
    expect(value.response.status).toBe(200)
    expect(headerValues(received[0]!, 'impersonate-user')).toEqual(['oidc:ada'])
  })
})

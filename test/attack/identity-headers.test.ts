/**
 * Header fields by which a client claims another identity, another address or to be a proxy
 * (CVE-2021-31999, CVE-2021-36776): whatever is sent, exactly one identity is sent upstream, the one that
 * Gatehouse authenticated.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { headerValues, startApiServer, type ReceivedRequest } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import {
  ERROR,
  headerFrames,
  headers as headersFrame,
  type Fields,
} from '../support/http2-frames.ts'

const PATH = '/api/v1/namespaces/d/configmaps'

const MODES = [
  {
    mode: 'impersonation',
    identity: { mode: 'impersonation' },
    user: 'impersonate-user',
    group: 'impersonate-group',
    extra: 'impersonate-extra-',
  },
  {
    mode: 'requestheader',
    identity: { mode: 'requestheader' },
    user: 'x-remote-user',
    group: 'x-remote-group',
    extra: 'x-remote-extra-',
  },
  {
    mode: 'requestheader with configured names',
    identity: {
      mode: 'requestheader',
      requestheader: {
        usernameHeader: 'X-Corp-User',
        groupHeader: 'X-Corp-Group',
        uidHeader: 'X-Corp-Uid',
        extraHeaderPrefix: 'X-Corp-Extra-',
      },
    },
    user: 'x-corp-user',
    group: 'x-corp-group',
    extra: 'x-corp-extra-',
  },
] as const

/** Names that some configuration of an API server reads as an identity. */
const IDENTITY = /^(?:impersonate|x.remote|x.corp)/i

function identityOf({ headers }: ReceivedRequest): string[] {
  return headers.filter(([name]) => IDENTITY.test(name)).map(([name, value]) => `${name}: ${value}`)
}

describe.for(MODES)('with the identity asserted by $mode', ({ identity, user, group, extra }) => {
  let attack: Attack
  let bearer: string

  beforeAll(async () => {
    const api = await startApiServer()
    api.userHeader = user
    attack = await startAttack({
      api,
      configuration: {
        upstream: { identity, additionalRequestHeaders: ['X-Custom', 'X-Mine'] },
      },
    })
    bearer = await attack.bearer({ groups: ['dev'] })
  })

  afterAll(async () => {
    await attack.expectNoSecretLeaked()
    await attack.close()
    await attack.api.close()
  })

  const get = (fields: string): string =>
    `GET ${PATH} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}${fields}\r\n`

  test.for([
    'Impersonate-User: root',
    'impersonate-user: root',
    'IMPERSONATE-USER: root',
    'Impersonate-User:root',
    'Impersonate-User: \t root \t ',
    'Impersonate-User:',
    'Impersonate-User:\r\nImpersonate-User: root',
    'Impersonate-User: oidc:ada',
    'Impersonate-Group: system:masters',
    'Impersonate-Group: a\r\nImpersonate-Group: system:masters',
    'Impersonate-Uid: 1',
    'Impersonate-Extra-Scopes: all',
    'Impersonate-Extra-a%2fb: c',
    'Impersonate-Extra-: c',
    'Impersonate-Foo: bar',
    'Impersonate_User: root',
    'impersonate_user: root',
    'IMPERSONATE_extra-a: b',
    'Connection: Impersonate-User\r\nImpersonate-User: root',
    'Connection: close, impersonate-user,Impersonate-Group\r\nImpersonate-User: root',
    'Impersonate-User: root\r\nConnection: x\r\nConnection: Impersonate-User',
  ])('a request for another identity by %j is refused', async (fields) => {
    const { value, received, events } = await attack.watching(() =>
      attack.send(get(`${fields}\r\n`)),
    )
    expect(value.response.status).toBe(403)
    expect(JSON.parse(value.response.body)).toMatchObject({ kind: 'Status', reason: 'Forbidden' })
    expect(received).toEqual([])
    expect(events).toMatchObject([
      { user: { username: 'oidc:ada' }, responseStatus: { code: 403 } },
    ])
  })

  test('a request for another identity without a credential gets a 401, not a 403', async () => {
    const { value, received } = await attack.watching(() =>
      attack.send(`GET ${PATH} HTTP/1.1\r\nHost: gatehouse\r\nImpersonate-User: oidc:ada\r\n\r\n`),
    )
    expect(value.response.status).toBe(401)
    expect(received).toEqual([])
  })

  test.for([
    'Connection: Impersonate-User, Impersonate-Group, X-Remote-User, X-Corp-User',
    'Connection: impersonate-user,impersonate-group,x-remote-user,x-corp-user,authorization',
    'Connection: keep-alive, Audit-Id, X-Forwarded-For, Host',
    'Connection: Content-Length, Transfer-Encoding',
    'X-Remote-User: root\r\nX-Remote-Group: system:masters\r\nX-Remote-Uid: 0',
    'x_remote_user: root\r\nX_Remote_Group: system:masters\r\nX-Remote_Extra-a: b',
    'X-Remote-Extra-Scopes: all\r\nX-REMOTE-ANYTHING: b',
    'X-Corp-User: root\r\nX-CORP-GROUP: system:masters\r\nX-Corp-Uid: 0\r\nX-Corp-Extra-a: b',
    'X_Corp_User: root\r\nX-Corp_Extra-a: b',
  ])('%j leaves exactly the authenticated identity', async (fields) => {
    const { value, received } = await attack.watching(() => attack.send(get(`${fields}\r\n`)))
    expect(value.response.status).toBe(200)
    const [one, ...others] = received
    expect(others).toEqual([])
    const expected = [`${user}: oidc:ada`, `${group}: oidc:dev`, `${group}: system:authenticated`]
    // A name that carries identity only in another configuration is an ordinary header.
    const meant = identityOf(one!).filter(
      (line) => user.startsWith('x-corp') || !/^x.corp/.test(line),
    )
    expect(meant).toEqual(expected)
    expect(headerValues(one!, 'authorization')).toEqual([])
  })

  test.for([
    ['X-Forwarded-For', '10.0.0.1'],
    ['x_forwarded_for', '10.0.0.1'],
    ['X-Forwarded-Host', 'evil.example'],
    ['X-Forwarded-Proto', 'http'],
    ['X-Forwarded-Client-Cert', 'Subject="CN=root"'],
    ['X-Forwarded-Uri', '/secret'],
    ['X-Original-URL', '/secret'],
    ['X-Original-Method', 'DELETE'],
    ['X-Real-Ip', '10.0.0.1'],
    ['True-Client-Ip', '10.0.0.1'],
    ['Forwarded', 'for=10.0.0.1'],
    ['Via', '1.1 evil'],
    ['Client-Cert', ':cm9vdA==:'],
    ['X-Client-Cert', 'cm9vdA=='],
    ['X-SSL-Client-Cert', 'cm9vdA=='],
    ['Audit-ID', '00000000-0000-0000-0000-000000000000'],
    ['Audit_ID', '00000000-0000-0000-0000-000000000000'],
    ['Cookie', 'session=stolen'],
    ['Proxy-Authorization', 'Basic cm9vdDpyb290'],
    ['Proxy-Connection', 'keep'],
    ['Keep-Alive', 'timeout=9'],
    ['TE', 'trailers'],
    ['Trailer', 'Impersonate-User'],
    ['Upgrade', 'websocket'],
    ['HTTP2-Settings', 'AAMAAABk'],
    ['Remote-User', 'root'],
    ['X-Auth-Request-User', 'root'],
    ['X-WEBAUTH-USER', 'root'],
    ['SSL-Client-Cert', 'cm9vdA=='],
    ['X-SSL-Client-S-DN', 'CN=root'],
    ['Proxy', 'http://evil.example'],
    ['X-Api-Key', 'stolen'],
    ['X-Rewrite-URL', '/secret'],
    ['X-HTTP-Method-Override', 'DELETE'],
    ['X-Not-Invented-Yet', 'root'],
  ] as const)('%s is not forwarded', async ([name, claimed]) => {
    const { value, received } = await attack.watching(() =>
      attack.send(get(`${name}: ${claimed}\r\n`)),
    )
    expect(value.response.status).toBe(200)
    const values = received[0]!.headers.map(([, one]) => one)
    expect(values).not.toContain(claimed)
    expect(headerValues(received[0]!, 'x-forwarded-for')).toEqual(['127.0.0.1'])
    expect(headerValues(received[0]!, 'audit-id')).toHaveLength(1)
  })

  test('listed headers are forwarded unchanged, except those that Connection lists', async () => {
    const { received } = await attack.watching(() =>
      attack.send(
        get(
          'User-Agent: kubectl/v1 "x"\r\nAccept: application/json;as=Table\r\nX-Custom: a\r\n' +
            'X-Custom: b\r\nX-Mine: c\r\nConnection: X-Mine\r\n',
        ),
      ),
    )
    const [one] = received
    expect(headerValues(one!, 'user-agent')).toEqual(['kubectl/v1 "x"'])
    expect(headerValues(one!, 'accept')).toEqual(['application/json;as=Table'])
    expect(headerValues(one!, 'x-custom')).toEqual(['a', 'b'])
    expect(headerValues(one!, 'x-mine')).toEqual([])
  })

  test('each of 300 groups arrives as its own header, commas included', async () => {
    const groups = Array.from({ length: 298 }, (_, i) => `g${i}`).concat('a, b', 'grün')
    bearer = await attack.bearer({ groups })
    const { received } = await attack.watching(() => attack.send(get('')))
    bearer = await attack.bearer({ groups: ['dev'] })
    const arrived = headerValues(received[0]!, group).map((value) =>
      Buffer.from(value, 'latin1').toString('utf8'),
    )
    expect(arrived).toEqual([...groups.map((name) => `oidc:${name}`), 'system:authenticated'])
  })

  describe('the largest token and all groups that are allowed arrive', () => {
    const GROUPS = Array.from({ length: 999 }, (_, i) => `${i}`.padStart(27, 'g'))

    /** The same token in both places. */
    async function largest(): Promise<{ bearer: string; subprotocol: string }> {
      const bearer = (await attack.bearer({ groups: GROUPS, x: 'x'.repeat(500) })).trim()
      const token = bearer.slice('Authorization: Bearer '.length)
      expect(token.length).toBeGreaterThan(40_800)
      const encoded = Buffer.from(token).toString('base64url')
      return {
        bearer,
        subprotocol: `v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.${encoded}`,
      }
    }

    const arrived = (received: readonly ReceivedRequest[]): number[] =>
      received.map((one) => headerValues(one, group).length)

    test.for([PATH, `${PATH}?watch=true`])('with %s over HTTP/1.1', async (path) => {
      const { bearer } = await largest()
      const { value, received } = await attack.watching(() =>
        attack.send(`GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n\r\n`),
      )
      expect(value.response.status).toBe(200)
      expect(arrived(received)).toEqual([1_000])
    })

    test.for([PATH, `${PATH}?watch=true`])('with %s over HTTP/2', async (path) => {
      const { bearer } = await largest()
      const { value, received } = await attack.watching(async () => {
        const connection = await attack.connectHttp2()
        const fields = (await attack.fields(path)).filter(([name]) => name !== 'authorization')
        const token = bearer.slice('Authorization: '.length)
        for (const one of headerFrames(1, [...fields, ['authorization', token]]))
          connection.send(one)
        const response = await connection.response(1)
        connection.raw.destroy()
        return response
      })
      expect(value.status).toBe(200)
      expect(arrived(received)).toEqual([1_000])
    })

    test('with an exec, as a WebSocket subprotocol', async () => {
      const { subprotocol } = await largest()
      const { value, received } = await attack.watching(() =>
        attack.send(
          `GET /api/v1/namespaces/d/pods/web/exec?command=sh HTTP/1.1\r\nHost: gatehouse\r\n` +
            'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
            `Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`,
        ),
      )
      // The fake API server does not switch protocols.
      expect(value.response.status).toBe(502)
      expect(arrived(received)).toEqual([1_000])
    })
  })

  test.for<readonly [what: string, groups: unknown, code: number]>([
    ['more than 1,000 groups', Array.from({ length: 1_001 }, (_, i) => `g${i}`), 403],
    ['an empty group among others', ['a', ''], 200],
    ['a group with a newline', ['a\nImpersonate-Group: system:masters'], 403],
    ['a group with a carriage return', ['a\rb'], 403],
    ['a group with a NUL', ['a\0'], 403],
    ['a group that ends with a space', ['a '], 403],
    ['a group that ends with a no-break space', ['a\u00a0'], 403],
    ['a number among the groups', ['a', 1], 401],
    ['groups as an object', { a: 'system:masters' }, 401],
  ])('%s never results in partial groups or another header', async ([, groups, code]) => {
    bearer = await attack.bearer({ groups })
    const { value, received } = await attack.watching(() => attack.send(get('')))
    bearer = await attack.bearer({ groups: ['dev'] })
    expect(value.response.status).toBe(code)
    expect(received.map(identityOf)).toEqual(
      code === 200
        ? [[`${user}: oidc:ada`, `${group}: oidc:a`, `${group}: system:authenticated`]]
        : [],
    )
  })

  test('an extra key arrives escaped, its slash included', async () => {
    const certificate = await attack.gatehouse.certificate({ organizations: ['dev', 'dev'] })
    const { received } = await attack.watching(() =>
      attack.send(`GET ${PATH} HTTP/1.1\r\nHost: gatehouse\r\n\r\n`, certificate),
    )
    expect(identityOf(received[0]!)).toEqual([
      `${user}: ada`,
      `${group}: dev`,
      `${group}: system:authenticated`,
      expect.stringMatching(
        `^${extra}authentication\\.kubernetes\\.io%2[Ff]credential-id: X509SHA256=[0-9a-f]{64}$`,
      ),
    ])
  })

  describe('over HTTP/2', () => {
    const send = async (more: Fields) => {
      const connection = await attack.connectHttp2()
      return attack.watching(async () => {
        connection.send(headersFrame(1, await attack.fields(PATH, more)))
        const response = await connection.response(1)
        connection.raw.destroy()
        return response
      })
    }

    test.for(['impersonate-user', 'impersonate-group', 'impersonate-extra-a', 'impersonate_user'])(
      '%s is refused',
      async (name) => {
        const { value, received } = await send([[name, 'root']])
        expect(value.status).toBe(403)
        expect(received).toEqual([])
      },
    )

    test.for<readonly [what: string, fields: Fields]>([
      ['an upper-case name', [['Impersonate-User', 'root']]],
      ['connection', [['connection', 'impersonate-user']]],
      ['transfer-encoding', [['transfer-encoding', 'chunked']]],
      ['a pseudo-header field behind others', [[':path', '/other']]],
      ['an unknown pseudo-header field', [[':user', 'root']]],
    ])('%s makes the request malformed, and its stream is reset', async ([, fields]) => {
      const { value, received } = await send(fields)
      expect(value.status).toBeUndefined()
      expect(value.reset).toBe(ERROR.PROTOCOL_ERROR)
      expect(received).toEqual([])
    })

    test.for<readonly [what: string, fields: Fields]>([
      ['a name with a colon', [['a:impersonate-user', 'root']]],
      ['a name with a newline', [['a\r\nimpersonate-user', 'root']]],
      ['a value with a newline', [['a', 'root\r\nImpersonate-User: root']]],
      ['a value with a NUL', [['a', 'root\0']]],
    ])('a field with %s does not arrive, not even in part', async ([, fields]) => {
      const { received } = await send(fields)
      expect(received.map(identityOf)).toEqual([
        [`${user}: oidc:ada`, `${group}: system:authenticated`],
      ])
      expect(JSON.stringify(received)).not.toContain('root')
    })

    test('X-Remote-* headers, cookies and proxy headers are dropped', async () => {
      const { value, received } = await send([
        ['x-remote-user', 'root'],
        ['x-corp-user', 'root'],
        ['cookie', 'a=b'],
        ['cookie', 'c=d'],
        ['x-forwarded-for', '10.0.0.1'],
        ['te', 'trailers'],
      ])
      expect(value.status).toBe(200)
      const [one] = received
      const users = ['impersonate-user', 'x-remote-user'].flatMap((name) =>
        headerValues(one!, name),
      )
      expect(users).not.toContain('root')
      expect(headerValues(one!, user)).toEqual(['oidc:ada'])
      expect(headerValues(one!, 'cookie')).toEqual([])
      expect(headerValues(one!, 'te')).toEqual([])
      expect(headerValues(one!, 'x-forwarded-for')).toEqual(['127.0.0.1'])
    })
  })
})

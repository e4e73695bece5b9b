import { connect as connectHttp2 } from 'node:http2'
import { once } from 'node:events'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { headerValues, startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient } from '../support/client.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

let api: ApiServer
let gatehouse: TestGatehouse

beforeAll(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: {
      listener: { strictTransportSecurity: ['max-age=31536000', 'includeSubDomains'] },
    },
    rules: {
      apiVersion: 'gatehouse/v1',
      kind: 'AccessRules',
      rules: [
        {
          name: 'all-but-secrets',
          effect: 'allow',
          verbs: ['*'],
          resources: [{ apiGroups: ['*'], resources: ['*'] }],
        },
        {
          name: 'no-secrets',
          effect: 'deny',
          verbs: ['*'],
          resources: [{ apiGroups: [''], resources: ['secrets'] }],
          message: 'Secrets are not for eyes.',
        },
      ],
    },
  })
})

afterAll(async () => {
  await gatehouse.close()
  await api.close()
})

const target = () => ({ url: gatehouse.url, ca: gatehouse.ca })

async function client(options: { http2?: boolean; groups?: string[] } = {}) {
  const token = await gatehouse.token({ groups: options.groups ?? [] })
  return createClient({ ...target(), token, http2: options.http2 ?? false })
}

function status(body: string): unknown {
  return JSON.parse(body)
}

test.for([{ http2: false }, { http2: true }])(
  'a token lets its user through, asserted by impersonation (HTTP/2: $http2)',
  async ({ http2 }) => {
    const ada = await client({ http2, groups: ['dev'] })
    const answer = await ada.ask('/api/v1/pods?limit=5')
    expect(answer.status).toBe(200)
    const received = api.received.at(-1)!
    expect(received.url).toBe('/api/v1/pods?limit=5')
    expect(headerValues(received, 'impersonate-user')).toEqual(['oidc:ada'])
    expect(headerValues(received, 'impersonate-group')).toEqual([
      'oidc:dev',
      'system:authenticated',
    ])
    expect(headerValues(received, 'authorization')).toEqual([])
    const id = String(answer.headers['audit-id'])
    expect(headerValues(received, 'audit-id')).toEqual([id])
    const [event] = await gatehouse.eventsWhere(({ auditID }) => auditID === id)
    expect(event).toMatchObject({
      stage: 'ResponseComplete',
      verb: 'list',
      user: { username: 'oidc:ada', groups: ['oidc:dev', 'system:authenticated'] },
      objectRef: { resource: 'pods', apiVersion: 'v1' },
      responseStatus: { code: 200 },
      sourceIPs: ['127.0.0.1'],
      annotations: { 'gatehouse/identity': 'impersonation', 'gatehouse/method': 'oidc' },
    })
    await ada.close()
  },
)

test('a certificate lets its user through', async () => {
  const certificate = await gatehouse.certificate({ commonName: 'grace', organizations: ['ops'] })
  const grace = createClient({ ...target(), certificate })
  expect((await grace.ask('/version')).status).toBe(403)
  expect((await grace.ask('/api/v1/pods')).status).toBe(200)
  expect(headerValues(api.received.at(-1)!, 'impersonate-user')).toEqual(['grace'])
  await grace.close()
})

describe('is refused, audited, and reaches nothing', () => {
  const cases = [
    {
      name: 'a request without a credential',
      ask: () => createClient(target()).ask('/api/v1/pods'),
      expected: { code: 401, reason: 'Unauthorized', message: 'Unauthorized' },
    },
    {
      name: 'a token that is none',
      ask: () => createClient({ ...target(), token: 'abc' }).ask('/api/v1/pods'),
      expected: { code: 401, reason: 'Unauthorized', message: 'Unauthorized' },
    },
    {
      name: 'what a rule denies, in the words of the API server and of the rule',
      ask: async () => (await client()).ask('/api/v1/namespaces/a/secrets/s'),
      expected: {
        code: 403,
        reason: 'Forbidden',
        message:
          'secrets "s" is forbidden: User "oidc:ada" cannot get resource "secrets" in API group "" ' +
          'in the namespace "a": Secrets are not for eyes. (Gatehouse rule "no-secrets")',
      },
    },
    {
      name: 'what no rule allows',
      ask: async () => (await client()).ask('/metrics'),
      expected: {
        code: 403,
        reason: 'Forbidden',
        message:
          'forbidden: User "oidc:ada" cannot get path "/metrics": no Gatehouse rule allows this',
      },
    },
    {
      name: 'kubectl --as',
      ask: async () =>
        (await client()).ask('/api/v1/pods', { headers: { 'impersonate-user': 'root' } }),
      expected: { code: 403, reason: 'Forbidden' },
    },
    {
      name: 'a path with two readings',
      ask: async () => (await client()).ask('/api/v1/namespaces/a%2Fb/pods'),
      expected: { code: 400, reason: 'BadRequest' },
    },
  ]

  test.for(cases)('$name', async ({ ask, expected }) => {
    const before = api.received.length
    const answer = await ask()
    expect(answer.status).toBe(expected.code)
    expect(answer.headers['content-type']).toBe('application/json')
    expect(status(answer.body)).toMatchObject({ kind: 'Status', status: 'Failure', ...expected })
    expect(api.received.length).toBe(before)
    const id = String(answer.headers['audit-id'])
    const events = await gatehouse.eventsWhere(({ auditID }) => auditID === id)
    expect(events).toMatchObject([{ stage: 'ResponseComplete', responseStatus: expected }])
  })
})

test('why a credential was refused is in the audit record and not in the answer', async () => {
  const answer = await createClient({ ...target(), token: 'abc' }).ask('/api/v1/pods')
  const id = String(answer.headers['audit-id'])
  const [event] = await gatehouse.eventsWhere(({ auditID }) => auditID === id)
  const cause = 'the token is not a JWS in compact serialization'
  expect(event?.annotations['gatehouse/cause']).toBe(cause)
  expect(answer.body).not.toContain('JWS')
})

test('every answer carries HSTS and an Audit-ID of its own', async () => {
  const ada = await client()
  const answers = [await ada.ask('/api/v1/pods'), await ada.ask('/metrics')]
  for (const { headers } of answers) {
    expect(headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains')
  }
  expect(new Set(answers.map(({ headers }) => headers['audit-id'])).size).toBe(2)
  await ada.close()
})

test('headers say what the rate limits are', async () => {
  const answer = await (await client()).ask('/api/v1/pods')
  expect(answer.headers['ratelimit-limit']).toBe('600')
  expect(Number(answer.headers['ratelimit-remaining'])).toBeLessThan(600)
})

describe('TLS', () => {
  async function handshake(options: ConnectionOptions): Promise<TLSSocket | Error> {
    const socket = connect({
      host: '127.0.0.1',
      port: gatehouse.port,
      ca: gatehouse.ca,
      ...options,
    })
    try {
      await once(socket, 'secureConnect')
      return socket
    } catch (error) {
      return error as Error
    } finally {
      socket.destroy()
    }
  }

  test('1.1 is refused, 1.2 and 1.3 are spoken', async () => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } as const
    const ciphers = 'DEFAULT@SECLEVEL=0'
    expect(await handshake({ ...old, ciphers })).toBeInstanceOf(Error)
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await handshake({ minVersion: version, maxVersion: version })
      expect(socket).not.toBeInstanceOf(Error)
    }
  })

  test('over 1.2 no suite without ECDHE and AEAD is agreed on', async () => {
    const version = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const
    for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA256']) {
      expect(await handshake({ ...version, ciphers })).toBeInstanceOf(Error)
    }
    const good = await handshake({ ...version, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })
    expect(good).not.toBeInstanceOf(Error)
  })

  test('a certificate of an unknown CA is a 401 Status, not an alert', async () => {
    const unknown = await gatehouse.servingAuthority.issue({
      commonName: 'ada',
      usages: ['client'],
    })
    const answer = await createClient({ ...target(), certificate: unknown }).ask('/api/v1/pods')
    expect(answer.status).toBe(401)
    expect(status(answer.body)).toMatchObject({ kind: 'Status', reason: 'Unauthorized' })
  })
})

test('HTTP/2 clients without a credential lose their session after the answer', async () => {
  const session = connectHttp2(gatehouse.url, { ca: gatehouse.ca })
  const goaway = once(session, 'goaway')
  const stream = session.request({ ':path': '/api/v1/pods' })
  const [headers] = (await once(stream, 'response')) as [{ ':status': number }]
  expect(headers[':status']).toBe(401)
  stream.resume()
  await goaway
  session.close()
})

describe('probes', () => {
  const probe = async (path: string) => {
    const answer = await fetch(gatehouse.probesUrl + path)
    return { status: answer.status, text: await answer.text() }
  }

  test('/livez and /readyz answer, verbose names the checks', async () => {
    expect(await probe('/livez')).toEqual({ status: 200, text: 'ok\n' })
    expect(await probe('/readyz')).toEqual({ status: 200, text: 'ok\n' })
    const { text } = await probe('/readyz?verbose')
    expect(text.split('\n')).toEqual([
      '[+]shutdown ok',
      '[+]listener ok',
      '[+]configuration ok',
      '[+]audit ok',
      `[+]jwks ${gatehouse.issuer.url} ok`,
      '[+]upstream-reachable ok',
      '[+]upstream-rejects-anonymous ok',
      '[+]upstream-asserts-identity ok',
      'readyz check passed',
      '',
    ])
  })

  test('/metrics is Prometheus text whose labels hold nothing of a request', async () => {
    await (await client()).ask('/api/v1/namespaces/very-special/pods/very-special')
    const { status: code, text } = await probe('/metrics')
    expect(code).toBe(200)
    expect(text).toMatch(
      /^gatehouse_requests_total\{handler="kubernetes",verb="get",code="200",decision="allow"\} \d+$/m,
    )
    expect(text).not.toContain('very-special')
    expect(text).not.toContain('ada')
  })

  test('nothing else is served there, and they are not on the listener', async () => {
    expect((await probe('/api/v1/pods')).status).toBe(404)
    expect((await createClient(target()).ask('/metrics')).status).toBe(401)
  })
})

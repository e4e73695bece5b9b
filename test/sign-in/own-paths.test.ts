/** What Gatehouse itself serves on the users' listener, through a real one. */
import { writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient, type Client, type ClientOptions } from '../support/client.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

let api: ApiServer
let gatehouse: TestGatehouse

beforeAll(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
})

afterAll(async () => {
  await gatehouse.close()
  await api.close()
})

function client(options: Partial<ClientOptions> = {}): Client {
  const made = createClient({ url: gatehouse.url, ca: gatehouse.ca, ...options })
  onTestFinished(() => made.close())
  return made
}

describe('GET /.well-known/gatehouse', () => {
  const PATH = '/.well-known/gatehouse'

  test.for([false, true])('needs no credential (HTTP/2: %j)', async (http2) => {
    const { status, headers, body } = await client({ http2 }).ask(PATH)
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'public, max-age=300',
      'x-content-type-options': 'nosniff',
      'audit-id': expect.any(String) as string,
    })
    expect(JSON.parse(body)).toMatchObject({
      apiVersion: 'gatehouse/v1',
      methods: [{ type: 'oidc', issuer: gatehouse.issuer.url, clientID: 'kubernetes' }],
    })
    expect(body.length).toBeLessThan(4_096)
  })

  test('never reaches the API server', async () => {
    const before = api.received.length
    await client({ token: await gatehouse.token() }).ask(PATH)
    expect(api.received).toHaveLength(before)
  })

  test('says that nothing has changed', async () => {
    const asking = client()
    const etag = String((await asking.ask(PATH)).headers['etag'])
    const again = await asking.ask(PATH, { headers: { 'if-none-match': `"x", W/${etag}` } })
    expect([again.status, again.body]).toEqual([304, ''])
    expect((await asking.ask(PATH, { headers: { 'if-none-match': '"x"' } })).status).toBe(200)
  })

  test('is audited, without a user', async () => {
    const { headers } = await client().ask(PATH)
    const [event] = await gatehouse.eventsWhere(({ auditID }) => auditID === headers['audit-id'])
    expect(event).toMatchObject({ requestURI: PATH, responseStatus: { code: 200 } })
    expect(event?.user.username).toBeUndefined()
  })

  test.for(['POST', 'PUT', 'DELETE', 'PATCH'])('refuses %s with a Status', async (method) => {
    const { status, headers, body } = await client().ask(PATH, { method, body: 'x' })
    expect([status, headers['allow']]).toEqual([405, 'GET, HEAD'])
    expect(JSON.parse(body)).toMatchObject({ kind: 'Status', reason: 'MethodNotAllowed' })
  })

  test('HEAD has the headers and no body', async () => {
    const { status, headers, body } = await client().ask(PATH, { method: 'HEAD' })
    expect([status, body]).toEqual([200, ''])
    expect(Number(headers['content-length'])).toBeGreaterThan(100)
  })

  test.for(['//.well-known/gatehouse', '/.well-known/%67atehouse', '/.well-known/gatehouse/x'])(
    'another spelling is a path of the Kubernetes API: %s',
    async (path) => {
      const { status } = await client().ask(path)
      expect([400, 401]).toContain(status)
    },
  )
})

describe('GET /gatehouse/api/whoami', () => {
  const PATH = '/gatehouse/api/whoami'

  test('refuses a request without a credential, and a cookie is none', async () => {
    const { status, body } = await client().ask(PATH, { headers: { cookie: 'token=x' } })
    expect(status).toBe(401)
    expect(JSON.parse(body)).toMatchObject({ kind: 'Status', reason: 'Unauthorized' })
  })

  test('shows the user of a token, and when it expires', async () => {
    const token = await gatehouse.token({ groups: ['dev'] })
    const { status, headers, body } = await client({ token }).ask(PATH)
    expect([status, headers['cache-control']]).toEqual([200, 'no-store'])
    const { expiresAt, ...rest } = JSON.parse(body) as { expiresAt: string }
    expect(rest).toMatchObject({
      kind: 'WhoAmI',
      method: 'oidc',
      userInfo: { username: 'oidc:ada', groups: ['oidc:dev', 'system:authenticated'] },
    })
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now())
    expect(body).not.toContain(token)
  })

  test('shows the user of a certificate', async () => {
    const certificate = await gatehouse.certificate({ organizations: ['engineers'] })
    const { body } = await client({ certificate }).ask(PATH)
    expect(JSON.parse(body)).toMatchObject({
      method: 'x509',
      userInfo: { username: 'ada', groups: ['engineers', 'system:authenticated'] },
      expiresAt: expect.any(String) as string,
    })
  })

  test('is audited with the user', async () => {
    const { headers } = await client({ token: await gatehouse.token() }).ask(PATH)
    const [event] = await gatehouse.eventsWhere(({ auditID }) => auditID === headers['audit-id'])
    expect(event).toMatchObject({ user: { username: 'oidc:ada' }, responseStatus: { code: 200 } })
  })

  test('refuses what another site makes a browser send with a certificate', async () => {
    const certificate = await gatehouse.certificate()
    const headers = { 'sec-fetch-site': 'cross-site' }
    expect((await client({ certificate }).ask(PATH, { headers })).status).toBe(403)
  })

  test('refuses impersonation, since it would show another user', async () => {
    const headers = { 'Impersonate-User': 'grace' }
    const { status } = await client({ token: await gatehouse.token() }).ask(PATH, { headers })
    expect(status).toBe(403)
  })
})

test.for(['/gatehouse', '/gatehouse/', '/gatehouse/api/', '/gatehouse/%2e'])(
  'no other path below /gatehouse exists, nor reaches the API server: %s',
  async (path) => {
    const before = api.received.length
    const { status, body } = await client({ token: await gatehouse.token() }).ask(path)
    expect([400, 404]).toContain(status)
    expect(JSON.parse(body)).toMatchObject({ kind: 'Status' })
    expect(api.received).toHaveLength(before)
  },
)

test('a path that only begins like it is one of the Kubernetes API', async () => {
  const { status } = await client().ask('/gatehousex')
  expect(status).toBe(401)
})

describe('signIn', () => {
  test('the serving CA is published, and again when its file changes', async () => {
    const own = await startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: { signIn: {} },
    })
    await own.close()
    const withCA = await startTestGatehouse({
      upstream: upstreamOf(api),
      // The CA of the clients exists before the start.
      configuration: { signIn: { caFile: 'client-ca.crt', displayName: 'Lab' } },
    })
    onTestFinished(() => withCA.close())
    const asking = client({ url: withCA.url, ca: withCA.ca })
    const read = async () =>
      JSON.parse((await asking.ask('/.well-known/gatehouse')).body) as Record<string, string>
    expect(await read()).toMatchObject({
      displayName: 'Lab',
      certificateAuthority: withCA.clientAuthority.certificatePem.trim().concat('\n'),
    })
    await writeFile(withCA.file('client-ca.crt'), withCA.ca)
    withCA.gatehouse.reload()
    await expect
      .poll(async () => (await read())['certificateAuthority'])
      .toBe(withCA.ca.trim().concat('\n'))
  })

  test('a file with a private key is refused: it would be published', async () => {
    const start = startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: { signIn: { caFile: 'serving.key' } },
    })
    await expect(start).rejects.toThrow(/is not a certificate: PRIVATE KEY/)
  })

  test('enabled: false publishes nothing', async () => {
    const own = await startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: { signIn: { enabled: false } },
    })
    onTestFinished(() => own.close())
    const { status, body } = await client({ url: own.url, ca: own.ca }).ask(
      '/.well-known/gatehouse',
    )
    expect(status).toBe(404)
    expect(body).toContain('does not publish')
  })

  test.for([
    [{ issuer: 'https://gone.example.com' }, 'signIn.methods[0].issuer'],
    [{ clientID: 'other' }, 'signIn.methods[0].clientID'],
  ] as const)('a method by which nobody could sign in is refused: %j', async ([change, field]) => {
    const method = { name: 'sso', issuer: gatehouse.issuer.url, ...change }
    const start = startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: {
        authentication: { configFile: gatehouse.file('authentication.yaml') },
        signIn: { methods: [method] },
      },
    })
    await expect(start).rejects.toThrow(field)
  })
})

test('all own endpoints have one limit by address, which spares the Kubernetes API', async () => {
  const own = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: { limits: { signIn: { requestsPerSecond: 0.001, burst: 3 } } },
  })
  onTestFinished(() => own.close())
  const token = await own.token()
  const asking = client({ url: own.url, ca: own.ca, token })
  const paths = ['/.well-known/gatehouse', '/gatehouse/api/whoami', '/gatehouse/nothing']
  const statuses: number[] = []
  for (const path of paths) statuses.push((await asking.ask(path)).status)
  expect(statuses).toEqual([200, 200, 404])
  for (const path of paths) {
    const { status, headers, body } = await asking.ask(path)
    expect([status, headers['retry-after']]).toEqual([429, '1000'])
    expect(JSON.parse(body)).toMatchObject({
      kind: 'Status',
      reason: 'TooManyRequests',
      message: 'too many sign-in requests from this address, retry after 1000s',
    })
    const [event] = await own.eventsWhere(({ auditID }) => auditID === headers['audit-id'])
    expect(event).toMatchObject({ requestURI: path, responseStatus: { code: 429 } })
  }
  expect((await asking.ask('/api')).status).toBe(200)
})

/** `/gatehouse/api/locks`, through a real Gatehouse. */
import { text } from 'node:stream/consumers'

import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient, type Client, type ClientOptions } from '../support/client.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { openWatch } from '../support/reloading.ts'

const PATH = '/gatehouse/api/locks'
const PODS = '/api/v1/namespaces/d/pods'
const JSON_BODY = { 'content-type': 'application/json' }
const IN_FILE = { user: 'oidc:filed', reason: 'In the file.' }

let api: ApiServer
let gatehouse: TestGatehouse
let warden: string
let token: string

beforeAll(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: {
      locks: {
        file: 'locks.yaml',
        administrators: { users: ['warden'], groups: ['oidc:wardens'] },
      },
    },
    files: {
      'locks.yaml': stringify({ apiVersion: 'gatehouse/v1', kind: 'Locks', locks: [IN_FILE] }),
    },
  })
  warden = await gatehouse.token({ sub: 'w', groups: ['wardens'] })
  token = await gatehouse.token({ sub: 'ada', groups: ['engineers'] })
})

afterAll(async () => {
  await gatehouse.close()
  await api.close()
})

afterEach(async () => {
  for (const { source, user } of await listed()) if (source === 'store') await unlock({ user })
})

function client(options: Partial<ClientOptions>): Client {
  const made = createClient({ url: gatehouse.url, ca: gatehouse.ca, ...options })
  onTestFinished(() => made.close())
  return made
}

async function send(
  method: string,
  body?: unknown,
  of: Partial<ClientOptions> = { token: warden },
) {
  const made = createClient({ url: gatehouse.url, ca: gatehouse.ca, ...of })
  try {
    const {
      status,
      headers,
      body: response,
    } = await made.ask(PATH, {
      method,
      ...(body === undefined ? {} : { headers: JSON_BODY, body: JSON.stringify(body) }),
    })
    const { message, ...rest } = JSON.parse(response) as Record<string, unknown>
    return { ...rest, message, status, auditID: String(headers['audit-id']) }
  } finally {
    await made.close()
  }
}

const lock = (body: unknown, of?: Partial<ClientOptions>) => send('POST', body, of)
const unlock = (body: unknown, of?: Partial<ClientOptions>) => send('DELETE', body, of)

async function listed(): Promise<readonly Record<string, string>[]> {
  return ((await send('GET')) as unknown as { items: Record<string, string>[] }).items
}

const ask = async (of: Partial<ClientOptions>) => {
  const { status, body } = await client(of).ask(PODS)
  return { status, message: (JSON.parse(body) as { message?: string }).message }
}

test('a lock is in effect with its response, and so is its end', async () => {
  const watch = await openWatch({ gatehouse, api })
  const rest = text(watch)
  const set = await lock({ user: 'oidc:ada', reason: 'Laptop stolen.', expirationSeconds: 3_600 })
  expect(set).toMatchObject({
    status: 201,
    kind: 'Lock',
    ...{ user: 'oidc:ada', reason: 'Laptop stolen.', actor: 'oidc:w', source: 'store' },
  })
  const { until } = set as unknown as { until: string }
  expect(Math.abs(Date.parse(until) - Date.now() - 3_600_000)).toBeLessThan(60_000)
  const message = `user "oidc:ada" is locked until ${until}: Laptop stolen.`
  expect(await ask({ token })).toEqual({ status: 403, message })
  expect(JSON.parse(await rest)).toMatchObject({ type: 'ERROR', object: { code: 403, message } })
  expect(await listed()).toEqual([
    { ...IN_FILE, source: 'file' },
    expect.objectContaining({ user: 'oidc:ada', actor: 'oidc:w', until, source: 'store' }),
  ])
  expect(await unlock({ user: 'oidc:ada' })).toMatchObject({ status: 200, user: 'oidc:ada' })
  expect(await ask({ token })).toMatchObject({ status: 200 })
  expect(await listed()).toEqual([{ ...IN_FILE, source: 'file' }])
})

test('a lock replaces an earlier one of the same target', async () => {
  await lock({ user: 'oidc:ada', reason: 'First.', expirationSeconds: 60 })
  await lock({ user: 'oidc:ada', reason: 'Second.' })
  expect(await ask({ token })).toMatchObject({ message: 'user "oidc:ada" is locked: Second.' })
  expect((await listed()).filter(({ user }) => user === 'oidc:ada')).toHaveLength(1)
})

test('setting and lifting are audit events with the actor and the lock', async () => {
  const set = await lock({ user: 'oidc:ada', reason: 'Laptop stolen.' })
  const lifted = await unlock({ user: 'oidc:ada' })
  const eventOf = async ({ auditID }: { auditID: string }) =>
    (await gatehouse.eventsWhere((event) => event.auditID === auditID))[0]
  expect(await eventOf(set)).toMatchObject({
    user: { username: 'oidc:w' },
    requestURI: PATH,
    verb: 'post',
    responseStatus: { code: 201 },
    annotations: { 'gatehouse/lock': 'set: user "oidc:ada": Laptop stolen.' },
  })
  expect(await eventOf(lifted)).toMatchObject({
    user: { username: 'oidc:w' },
    verb: 'delete',
    annotations: { 'gatehouse/lock': 'lifted: user "oidc:ada"' },
  })
})

describe('a user whom the configuration does not name', () => {
  test.for(['GET', 'POST', 'DELETE'])('cannot use %s', async (method) => {
    const body = method === 'GET' ? undefined : { user: 'oidc:eve', reason: 'x' }
    const refused = await send(method, body, { token })
    expect(refused).toMatchObject({ status: 403, reason: 'Forbidden' })
    expect(refused.message).toContain('may not see or change locks')
    expect(await listed()).toHaveLength(1)
  })

  test('cannot use it by a name of another method, by no credential or by a token without groups', async () => {
    const body = { user: 'oidc:eve', reason: 'x' }
    expect(await lock(body, { token: await gatehouse.token({ sub: 'warden' }) })).toMatchObject({
      status: 403,
    })
    expect(await lock(body, {})).toMatchObject({ status: 401 })
    expect(await listed()).toHaveLength(1)
  })

  test('may be one of certificates, if the configuration names that', async () => {
    const certificate = await gatehouse.certificate({ commonName: 'warden' })
    expect(await lock({ user: 'oidc:eve', reason: 'x' }, { certificate })).toMatchObject({
      status: 201,
    })
  })
})

test('a locked administrator can lift no lock', async () => {
  const other = await gatehouse.token({ sub: 'w2', groups: ['wardens'] })
  await lock({ user: 'oidc:w2', reason: 'x' })
  expect(await unlock({ user: 'oidc:w2' }, { token: other })).toMatchObject({ status: 403 })
  expect(await lock({ user: 'oidc:eve', reason: 'x' }, { token: other })).toMatchObject({
    status: 403,
    message: 'user "oidc:w2" is locked: x',
  })
})

test.for([
  ['oneself', { user: 'oidc:w' }],
  ["one's group", { group: 'oidc:wardens' }],
  ['everybody', { group: 'system:authenticated' }],
  ["one's address", { address: '127.0.0.0/8' }],
] as const)('locking %s is refused', async ([, target]) => {
  const refused = await lock({ ...target, reason: 'x' })
  expect(refused).toMatchObject({ status: 400 })
  expect(refused.message).toMatch(
    /would lock you out: ask another administrator, or use the lock file$/,
  )
  expect(await listed()).toHaveLength(1)
})

test('lifting what is not locked is a 404, and what the file locks stays locked', async () => {
  expect(await unlock({ user: 'oidc:nobody' })).toMatchObject({
    status: 404,
    message: 'user "oidc:nobody" is not locked',
  })
  expect(await unlock({ user: 'oidc:filed' })).toMatchObject({
    status: 403,
    message: 'user "oidc:filed" is locked by the lock file: remove the lock there',
  })
})

describe('a request that is not valid', () => {
  test.for([
    ['no target', { reason: 'x' }, 'must name one target'],
    ['two targets', { user: 'a', group: 'b', reason: 'x' }, 'must name one target'],
    ['no reason', { user: 'a' }, 'reason is required'],
    ['an unknown field', { user: 'a', reason: 'x', until: 'tomorrow' }, 'until unknown field'],
    ['no duration', { user: 'a', reason: 'x', expirationSeconds: -1 }, 'expirationSeconds'],
    ['a reason of two lines', { user: 'a', reason: 'x\ny' }, 'has more than one line'],
    ['a list', [], 'must be'],
    ['a number', 7, 'must be'],
  ] as const)('with %s is refused, and says why', async ([, body, message]) => {
    const refused = await lock(body)
    expect(refused).toMatchObject({ status: 400, reason: 'BadRequest' })
    expect(refused.message).toContain(message)
    expect(await listed()).toHaveLength(1)
  })

  test.for([
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, '{}', 400],
    ['no type', {}, '{}', 400],
    ['broken JSON', JSON_BODY, '{', 400],
    ['a large body', JSON_BODY, JSON.stringify({ reason: 'x'.repeat(20_000) }), 400],
  ] as const)('with %s is refused', async ([, headers, body, status]) => {
    const response = await client({ token: warden }).ask(PATH, { method: 'POST', headers, body })
    expect(response.status).toBe(status)
  })

  test('as another user, or from another site, is refused', async () => {
    const headers = { ...JSON_BODY, 'impersonate-user': 'oidc:eve' }
    const body = JSON.stringify({ user: 'oidc:eve', reason: 'x' })
    const asking = client({ token: warden })
    expect((await asking.ask(PATH, { method: 'POST', headers, body })).status).toBe(403)
    const browser = client({
      certificate: await gatehouse.certificate({ commonName: 'warden' }),
    })
    const other = { ...JSON_BODY, origin: 'https://evil.example' }
    expect((await browser.ask(PATH, { method: 'POST', headers: other, body })).status).toBe(403)
    expect(await listed()).toHaveLength(1)
  })

  test.for(['PUT', 'PATCH', 'HEAD'])('%s is not allowed', async (method) => {
    const { status, headers } = await client({ token: warden }).ask(PATH, { method })
    expect([status, headers['allow']]).toEqual([405, 'GET, POST, DELETE'])
  })
})

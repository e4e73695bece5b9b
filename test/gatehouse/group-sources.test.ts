/** Groups that are not in the token, looked up by a whole Gatehouse. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import {
  ADMIN,
  SECRET,
  startDirectory,
  type DirectoryStandIn,
} from '../groups/directory-stand-in.ts'
import { headerValues, startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient, type Client } from '../support/client.ts'
import { replaceFile } from '../support/files.ts'
import { scrape } from '../support/scrape.ts'
import {
  ALLOW_ALL,
  noSecretsFor,
  startTestGatehouse,
  upstreamOf,
  type TestGatehouse,
  type TestGatehouseOptions,
} from '../support/gatehouse.ts'
import { validated } from '../support/validated.ts'

const PODS = '/api/v1/namespaces/d/pods'
const SECRETS = '/api/v1/namespaces/d/secrets'

/** What Entra ID puts into a token in place of more than 200 groups. */
const OVERAGE = {
  oid: 'ada-oid',
  _claim_names: { groups: 'src1' },
  _claim_sources: {
    src1: { endpoint: 'https://graph.windows.net/tenant/users/root-oid/getMemberObjects' },
  },
}

let api: ApiServer
let directory: DirectoryStandIn
let folder: string
let gatehouse: TestGatehouse | undefined
let client: Client | undefined

const file = (name: string): string => join(folder, name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'))
  ;[api, directory] = await Promise.all([startApiServer(), startDirectory()])
  await Promise.all([
    writeFile(file('secret'), `${SECRET}\n`, { mode: 0o600 }),
    writeFile(file('key.json'), directory.serviceAccountKey, { mode: 0o600 }),
    writeFile(file('directories.crt'), directory.ca),
    writeFile(file('members.yaml'), members({ dev: ['ada'] })),
  ])
})

afterEach(async () => {
  await client?.close()
  await gatehouse?.close()
  gatehouse = client = undefined
  await Promise.all([api.close(), directory.close()])
  await rm(folder, { recursive: true, force: true })
})

function members(groups: Readonly<Record<string, readonly string[]>>): string {
  const list = Object.entries(groups).map(([name, users]) => ({ name, members: users }))
  return stringify({ apiVersion: 'gatehouse/v1', kind: 'GroupMemberships', groups: list })
}

async function start(
  groupSource: Readonly<Record<string, unknown>>,
  issuerOptions: Readonly<Record<string, unknown>> = {},
  options: Partial<TestGatehouseOptions> = {},
): Promise<TestGatehouse> {
  gatehouse = await startTestGatehouse({
    ...options,
    upstream: upstreamOf(api),
    rules: noSecretsFor('contractors'),
    issuerOptions: {
      ...issuerOptions,
      groupSource: { certificateAuthorityFile: file('directories.crt'), ...groupSource },
    },
  })
  client = createClient({ url: gatehouse.url, ca: gatehouse.ca })
  // Of the check that the source works, which readiness has waited for; the next one is in a minute.
  directory.requests.length = 0
  return gatehouse
}

const graph = () => ({
  microsoftGraph: {
    ...{ tenantID: 'tenant', clientID: 'client', clientSecretFile: file('secret') },
    ...{ endpoint: directory.url, authority: directory.url },
  },
})

const ldap = (overrides: Readonly<Record<string, unknown>> = {}) => ({
  servers: ['ldaps://ldap.example.com'],
  bindDN: 'cn=gatehouse',
  bindPasswordFile: file('secret'),
  users: { baseDN: 'ou=people' },
  groups: { baseDN: 'ou=groups' },
  ...overrides,
})

async function ask(claims: Readonly<Record<string, unknown>>, path = PODS) {
  const authorization = `Bearer ${await gatehouse!.token(claims)}`
  const before = api.received.length
  const { status, body, headers } = await client!.ask(path, { headers: { authorization } })
  const groups = api.received
    .slice(before)
    .filter(({ url }) => url === path)
    .flatMap((one) => headerValues(one, 'impersonate-group'))
  return { status, headers, groups, message: (JSON.parse(body) as { message?: string }).message }
}

const AUTHENTICATED = 'system:authenticated'

describe('a user with more groups than fit into a token of Entra ID', () => {
  test('has those of Microsoft Graph, and the address in the token is not asked', async () => {
    directory.users.set('ada-oid', ['dev', 'contractors'])
    await start(graph())
    expect(await ask(OVERAGE)).toMatchObject({
      ...{ status: 200, groups: ['oidc:dev', 'oidc:contractors', AUTHENTICATED] },
    })
    expect((await ask(OVERAGE, SECRETS)).status).toBe(403)
    const asked = new Set(directory.requests.map((line) => line.replace(/\?.*/, '')))
    expect([...asked]).toEqual(['GET /v1.0/users/ada-oid/transitiveMemberOf/microsoft.graph.group'])
    // The groups are remembered, whatever the token.
    await ask({ ...OVERAGE, jti: 'another' })
    expect(directory.requests).toHaveLength(1)
  })

  test('is not looked up when the token states the groups', async () => {
    await start(graph())
    expect((await ask({ oid: 'ada-oid', groups: ['x'] })).groups).toEqual(['oidc:x', AUTHENTICATED])
    expect(directory.requests).toEqual([])
  })

  test('is refused while Microsoft Graph is down, and let in when it is back', async () => {
    directory.users.set('ada-oid', ['dev'])
    const running = await start(graph())
    directory.next.push({ status: 500 })
    const { status, message, headers, groups } = await ask(OVERAGE)
    expect({ status, message, groups }).toEqual({
      status: 503,
      message: 'the groups of the user cannot be looked up at present; try again',
      groups: [],
    })
    expect(headers['retry-after']).toBe('2')
    expect(running.log.join('')).toContain('groups of a user could not be looked up')
    await expect.poll(async () => (await ask(OVERAGE)).status).toBe(200)
  })

  test('with onFailure: unknown is let in with unknown groups, which deny rules count', async () => {
    await start({ ...graph(), onFailure: 'unknown' })
    directory.next.push({ status: 500 })
    expect(await ask(OVERAGE)).toMatchObject({ status: 200, groups: [AUTHENTICATED] })
    expect((await ask(OVERAGE, SECRETS)).status).toBe(403)
  })

  test('is refused when the directory does not have the user', async () => {
    await start(graph())
    expect(await ask(OVERAGE)).toMatchObject({ status: 401, message: 'Unauthorized', groups: [] })
  })

  test('is refused without the claim that names the user', async () => {
    await start(graph())
    expect((await ask({ ...OVERAGE, oid: undefined })).status).toBe(401)
    expect((await ask({ ...OVERAGE, oid: ['ada-oid'] })).status).toBe(401)
    expect(directory.requests).toEqual([])
  })

  test('is refused for a token that is not valid, without a lookup', async () => {
    await start(graph())
    expect((await ask({ ...OVERAGE, aud: 'other' })).status).toBe(401)
    expect((await ask({ ...OVERAGE, exp: 1 })).status).toBe(401)
    expect(directory.requests).toEqual([])
  })

  test('has the groups that allowedGroups lists, and deny rules count the others', async () => {
    directory.users.set('ada-oid', ['dev', 'contractors'])
    await start(graph(), { allowedGroups: ['oidc:dev'] })
    expect((await ask(OVERAGE)).groups).toEqual(['oidc:dev', AUTHENTICATED])
    expect((await ask(OVERAGE, SECRETS)).status).toBe(403)
  })

  test('is rejected with a group that is reserved', async () => {
    directory.users.set('ada-oid', ['bad\u0000name'])
    await start(graph())
    expect((await ask(OVERAGE)).status).toBe(403)
  })
})

describe('a source whose credential is rejected', () => {
  const REJECTED = 'did not issue an access token to Gatehouse (HTTP 401, invalid_client)'
  const readyz = async ({ probesUrl }: TestGatehouse) => {
    const response = await fetch(`${probesUrl}/readyz?verbose`)
    return { code: response.status, text: await response.text() }
  }

  beforeEach(() => {
    directory.next.push({ status: 401, body: { error: 'invalid_client' } })
  })

  test('is a note of readiness, a metric and a line of the log', async () => {
    const running = await start(graph())
    const name = `groups ${running.issuer.url}`
    expect(await readyz(running)).toMatchObject({
      code: 200,
      text: expect.stringContaining(`[+]${name} ok (Microsoft Graph ${REJECTED})`) as string,
    })
    expect(await scrape(running, `gatehouse_check_ok{check="${name}"}`)).toEqual([
      `gatehouse_check_ok{check="${name}"} 0`,
    ])
    expect(running.log.join('')).toContain('the source of groups does not work')
  })

  test('fails readiness where no user can sign in without it', async () => {
    const running = await start(
      { ...graph(), when: 'always' },
      {},
      { without: ['x509'], waitsForReadiness: false },
    )
    const line = `[-]groups ${running.issuer.url} failed: Microsoft Graph ${REJECTED}`
    await expect.poll(async () => (await readyz(running)).text).toContain(line)
    expect(await readyz(running)).toMatchObject({ code: 503 })
  })

  test('fails gatehouse validate --online', async () => {
    const running = await start(graph())
    const { issuer } = running
    await gatehouse?.gatehouse.close(true)
    const run = (online: boolean) => validated(running.file('gatehouse.yaml'), { online })
    expect(await run(true)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`[+]groups ${issuer.url} ok`) as string,
    })
    directory.next.push({ status: 401, body: { error: 'invalid_client' } })
    const { code, stderr } = await run(true)
    expect(code).toBe(1)
    expect(stderr).toContain(`[-]groups ${issuer.url} failed: Microsoft Graph ${REJECTED}`)
    // Without it, nobody is asked.
    directory.requests.length = 0
    expect((await run(false)).code).toBe(0)
    expect(directory.requests).toEqual([])
  })
})

test('without a source, a distributed claim is refused as before', async () => {
  await start({ file: file('members.yaml') })
  await gatehouse?.close()
  gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
  await client?.close()
  client = createClient({ url: gatehouse.url, ca: gatehouse.ca })
  expect((await ask(OVERAGE)).status).toBe(401)
})

test('the groups of a user of Google Workspace come from the Directory API, by email', async () => {
  directory.users.set('ada@example.com', ['dev@example.com', 'ops@example.com'])
  directory.pageSize = 1
  await start({
    googleWorkspace: {
      ...{ serviceAccountKeyFile: file('key.json'), adminUser: ADMIN, endpoint: directory.url },
    },
  })
  expect((await ask({ email: 'ada@example.com' })).groups).toEqual([
    ...['oidc:dev@example.com', 'oidc:ops@example.com', AUTHENTICATED],
  ])
})

test('groups that change end the streams of the user at the next lookup', async () => {
  directory.users.set('ada-oid', ['dev'])
  const running = await start({ ...graph(), cacheLifetime: '1s' })
  api.handler = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' })
    if (request.url?.includes('watch') === true) response.write('{"type":"ADDED"}\n')
    else response.end('{}')
  }
  const authorization = `Bearer ${await running.token(OVERAGE)}`
  const watch = client!.ask(`${PODS}?watch=true`, { headers: { authorization } })
  await running.eventsWhere(({ stage }) => stage === 'ResponseStarted')
  directory.users.set('ada-oid', [])
  await expect.poll(async () => (await ask(OVERAGE)).groups).toEqual([AUTHENTICATED])
  await running.eventsWhere(
    ({ stage, requestURI }) => stage === 'ResponseComplete' && requestURI.includes('watch'),
  )
  await watch.catch(() => undefined)
})

test('a file adds its groups to those of the token, and is read again when it changes', async () => {
  const running = await start({ file: file('members.yaml'), when: 'always' })
  expect((await ask({ groups: ['x'] })).groups).toEqual(['oidc:x', 'oidc:dev', AUTHENTICATED])
  expect((await ask({ sub: 'grace', groups: ['dev'] })).groups).toEqual(['oidc:dev', AUTHENTICATED])
  await replaceFile(file('members.yaml'), members({ ops: ['ada', 'grace'], dev: [] }))
  running.gatehouse.reload()
  await expect
    .poll(async () => (await ask({ groups: ['x'] })).groups)
    .toEqual(['oidc:x', 'oidc:ops', AUTHENTICATED])
})

test.for<readonly [what: string, source: () => Readonly<Record<string, unknown>>, problem: string]>(
  [
    [
      'no source',
      () => ({}),
      'groupSource: names no source (set one of file, microsoftGraph, googleWorkspace, ldap)',
    ],
    [
      'two sources',
      () => ({ ...graph(), file: file('members.yaml') }),
      'groupSource: has file and microsoftGraph',
    ],
    [
      'a file of another kind',
      () => ({ file: file('rules.yaml') }),
      'kind: "AccessRules" is not supported (must be GroupMemberships)',
    ],
    [
      'a secret of several lines',
      () => ({
        microsoftGraph: { ...graph().microsoftGraph, clientSecretFile: file('rules.yaml') },
      }),
      'is not a secret on one line',
    ],
    [
      'an endpoint without TLS',
      () => ({ microsoftGraph: { ...graph().microsoftGraph, endpoint: 'http://127.0.0.1' } }),
      'endpoint: "http://127.0.0.1" is not an https URL without a path',
    ],
    ['a directory without a claim', () => ({ ldap: ldap() }), 'userClaim: is required for ldap'],
    [
      'a directory without TLS',
      () => ({ ldap: ldap({ servers: ['ldap://ldap.example.com'] }), userClaim: 'sub' }),
      'groupSource.ldap.servers[0]: does not begin with ldaps://',
    ],
    [
      'a filter that is not one',
      () => ({
        ldap: ldap({ users: { baseDN: 'dc=com', filter: '(uid={username}' } }),
        userClaim: 'sub',
      }),
      'filter: is not an LDAP filter',
    ],
    [
      'an empty password, with which the bind would be anonymous',
      () => ({ ldap: ldap({ bindPasswordFile: file('empty') }), userClaim: 'sub' }),
      'empty is empty (write the password of the service account into it)',
    ],
  ],
)('%s is a problem', async ([, source, problem]) => {
  await writeFile(file('rules.yaml'), stringify(ALLOW_ALL))
  await writeFile(file('empty'), '\n')
  await expect(start(source())).rejects.toThrow(problem)
})

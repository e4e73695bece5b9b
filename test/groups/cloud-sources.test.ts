/** The sources of cloud directories, against a stand-in that speaks their documented APIs. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createJsonFetcher, type JsonFetcher } from '../../src/authentication/oidc/json-fetch.ts'
import { createGoogleWorkspace, readServiceAccountKey } from '../../src/groups/google-workspace.ts'
import {
  ThrottledError,
  UnknownUserError,
  type GroupSource,
} from '../../src/groups/group-source.ts'
import { createMicrosoftGraph } from '../../src/groups/microsoft-graph.ts'
import { ADMIN, SECRET, startDirectory, type DirectoryStandIn } from './directory-stand-in.ts'

let directory: DirectoryStandIn
let fetcher: JsonFetcher

beforeEach(async () => {
  directory = await startDirectory()
  fetcher = createJsonFetcher({ certificateAuthority: directory.ca, proxyFor: () => undefined })
})

afterEach(async () => {
  fetcher.close()
  await directory.close()
})

const effects = () => ({
  clock: Date.now,
  send: ((url, request, signal) => fetcher.send(url, request, signal)) as JsonFetcher['send'],
})

const graph = (overrides: { clientSecret?: string; groupName?: 'displayName' } = {}): GroupSource =>
  createMicrosoftGraph(
    {
      ...{ tenantID: 'tenant', clientID: 'client', clientSecret: SECRET, groupName: 'id' },
      ...{ endpoint: directory.url, authority: directory.url },
      ...overrides,
    },
    effects(),
  )

const google = (adminUser = ADMIN): GroupSource =>
  createGoogleWorkspace(
    {
      key: readServiceAccountKey(directory.serviceAccountKey),
      ...{ adminUser, endpoint: directory.url },
    },
    effects(),
  )

const SOURCES = [
  ['Microsoft Graph', () => graph()],
  ['Google Workspace', () => google()],
] as const

function groupsOf(source: GroupSource, user: string, timeout = 5_000): Promise<readonly string[]> {
  const limits = { signal: AbortSignal.timeout(timeout), deadline: Date.now() + timeout }
  return source.groupsOf(user, limits)
}

describe.for(SOURCES)('%s', ([, start]) => {
  const many = Array.from({ length: 2_500 }, (_, i) => `group-${i}`)

  test('gives the groups of all pages in order, with one access token', async () => {
    directory.users.set('ada', many)
    const source = start()
    directory.pageSize = 700
    expect(await groupsOf(source, 'ada')).toEqual(many)
    await groupsOf(source, 'ada')
    expect(directory.tokens).toBe(1)
  })

  test('says that it works, whether it has the user who is asked about', async () => {
    const limits = { signal: AbortSignal.timeout(5_000), deadline: Date.now() + 5_000 }
    await start().check?.(limits)
    expect(directory.requests).toHaveLength(2)
    directory.next.push({ status: 200, body: { access_token: 'token-1' } }, { status: 403 })
    await expect(start().check?.(limits)).rejects.toThrow('responded with HTTP 403')
    directory.next.push({ status: 401, body: { error: 'invalid_client' } })
    await expect(start().check?.(limits)).rejects.toThrow('HTTP 401, invalid_client')
  })

  test('gives no groups of a user without any', async () => {
    directory.users.set('ada', [])
    expect(await groupsOf(start(), 'ada')).toEqual([])
  })

  test('does not know a user whom the directory does not have', async () => {
    await expect(groupsOf(start(), 'nobody')).rejects.toBeInstanceOf(UnknownUserError)
  })

  test.for(['a/b', '../admin', 'a?b=c', 'a#b', 'ad a', 'a%2fb', 'zoë@example.com'])(
    'asks about the user %j and nobody else',
    async (user) => {
      directory.users.set(user, ['dev'])
      expect(await groupsOf(start(), user)).toEqual(['dev'])
    },
  )

  test('gets a new access token when the first one is refused, once', async () => {
    directory.users.set('ada', ['dev'])
    const source = start()
    await groupsOf(source, 'ada')
    directory.revokeTokens()
    expect(await groupsOf(source, 'ada')).toEqual(['dev'])
    expect(directory.tokens).toBe(2)
    directory.next.push(
      { status: 401 },
      { status: 200, body: { access_token: 'x' } },
      { status: 401 },
    )
    await expect(groupsOf(source, 'ada')).rejects.toThrow('responded with HTTP 401')
  })

  test('waits as long as the API asks for, and then goes on', async () => {
    directory.users.set('ada', ['dev'])
    const source = start()
    await groupsOf(source, 'ada')
    directory.next.push(
      { status: 429, headers: { 'retry-after': '0' } },
      { status: 503, headers: { 'retry-after': '0' } },
    )
    expect(await groupsOf(source, 'ada')).toEqual(['dev'])
  })

  test.for([
    ['30', 30_000],
    ['999999', 600_000],
    ['soon', 1_000],
  ] as const)('does not wait beyond its deadline for Retry-After %s', async ([value, delay]) => {
    directory.users.set('ada', ['dev'])
    const source = start()
    await groupsOf(source, 'ada')
    directory.next.push({ status: 429, headers: { 'retry-after': value } })
    const error: unknown = await groupsOf(source, 'ada', 900).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ThrottledError)
    expect((error as ThrottledError).retryAfter).toBe(delay)
  })

  test.for([
    ['an error', { status: 500 }, 'responded with HTTP 500'],
    ['a redirect', { status: 302, headers: { location: 'https://a.example' } }, 'HTTP 302'],
    ['no JSON', { status: 200, body: '<html>' }, 'did not respond with a page of groups'],
    ['another document', { status: 200, body: { value: [1], groups: [1] } }, 'a page of groups'],
    [
      'groups that are not a list',
      { status: 200, body: { value: {}, groups: {} } },
      'page of groups',
    ],
  ] as const)('fails for %s', async ([, reply, message]) => {
    directory.users.set('ada', ['dev'])
    const source = start()
    await groupsOf(source, 'ada')
    directory.next.push(reply)
    await expect(groupsOf(source, 'ada')).rejects.toThrow(message)
  })

  test('fails when the API hangs, at the deadline', async () => {
    directory.next.push('hang')
    await expect(groupsOf(start(), 'ada', 300)).rejects.toThrow(/timeout/i)
  })

  test('fails when no access token is given, without its secret in the message', async () => {
    directory.next.push({
      status: 401,
      body: { error: 'invalid_client', error_description: SECRET },
    })
    const error: unknown = await groupsOf(start(), 'ada').catch((reason: unknown) => reason)
    expect((error as Error).message).toMatch(
      /did not issue an access token to Gatehouse \(HTTP 401, invalid_client\)$/,
    )
    expect((error as Error).message).not.toContain(SECRET)
  })

  test('stops at more than 10,000 groups', async () => {
    directory.pageSize = 200
    directory.users.set(
      'ada',
      Array.from({ length: 20_000 }, (_, i) => `group-${i}`),
    )
    expect((await groupsOf(start(), 'ada', 30_000)).length).toBeLessThan(11_000)
  })
})

describe('Microsoft Graph', () => {
  test.for(['.', '..'])(
    'asks for nothing but the groups of a user, whatever the name (%s)',
    async (user) => {
      await expect(groupsOf(graph(), user)).rejects.toThrow(UnknownUserError)
      expect(directory.requests).toEqual([])
    },
  )

  test.for(['../groups', 'a/b?c#d', '%2e%2e', '..;', '$count'])(
    'keeps a name in its place (%s)',
    async (user) => {
      directory.users.set(user, ['one'])
      expect(await groupsOf(graph(), user)).toEqual(['one'])
    },
  )

  test('names groups by display name where that is configured', async () => {
    directory.users.set('ada', ['a'])
    expect(await groupsOf(graph({ groupName: 'displayName' }), 'ada')).toEqual(['Name of a'])
  })

  test('fails for a group without a display name', async () => {
    directory.users.set('ada', ['a'])
    directory.change = (page) => ({ ...page, value: [{ id: 'a', displayName: null }] })
    await expect(groupsOf(graph({ groupName: 'displayName' }), 'ada')).rejects.toThrow(
      'has a group without displayName',
    )
  })

  test.for(['https://evil.example/v1.0/users', 'http://127.0.0.1/', 'not a URL', '/v1.0/users'])(
    'sends its access token nowhere else: %s',
    async (link) => {
      directory.users.set('ada', ['a'])
      directory.change = (page) => ({ ...page, '@odata.nextLink': link })
      await expect(groupsOf(graph(), 'ada')).rejects.toThrow('next page on another server')
    },
  )

  test('fails with a wrong secret', async () => {
    await expect(groupsOf(graph({ clientSecret: 'wrong' }), 'ada')).rejects.toThrow('invalid_grant')
  })
})

describe('Google Workspace', () => {
  test('fails as an administrator who has not delegated', async () => {
    await expect(groupsOf(google('other@example.com'), 'ada')).rejects.toThrow('invalid_grant')
  })

  test.for([
    ['is not JSON', '{'],
    ['is for a user', JSON.stringify({ type: 'authorized_user' })],
    ['has no key', JSON.stringify({ type: 'service_account', client_email: 'a' })],
  ] as const)('a file of a key that %s is not one', ([, text]) => {
    expect(() => readServiceAccountKey(text)).toThrow(
      'is not the JSON key of a Google service account',
    )
  })

  test('a private key that cannot be read is not quoted', () => {
    const text = directory.serviceAccountKey.replace(/-----BEGIN[^"]*/, 'AAAA-secret')
    expect(() => readServiceAccountKey(text)).toThrow(
      /^has a private_key or a token_uri that cannot be read$/,
    )
  })
})

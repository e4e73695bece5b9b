import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asGrace, playgroundUnderTest, type PlaygroundUnderTest } from './playground-client.ts'

let playground: PlaygroundUnderTest
beforeAll(async () => {
  playground = await playgroundUnderTest()
})
afterAll(() => playground.close())

const reviews = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

describe('the playground', () => {
  test.for([
    { client: 'without a certificate', name: 'withoutCertificate' },
    { client: 'with a certificate of an unknown authority', name: 'user' },
  ] as const)('refuses a client $client, with or without impersonation', async ({ name }) => {
    const dispatcher = playground[name]
    for (const headers of [[], asGrace]) {
      const refused = await playground.call('/api/v1/pods', { dispatcher, headers })
      expect([refused.code, refused.json()]).toEqual([
        401,
        {
          kind: 'Status',
          apiVersion: 'v1',
          metadata: {},
          status: 'Failure',
          message: 'Unauthorized',
          reason: 'Unauthorized',
          code: 401,
        },
      ])
    }
  })

  test('refuses impersonation by a client other than Gatehouse', async () => {
    const refused = await playground.call('/api/v1/pods', { dispatcher: playground.anotherClient })
    expect([refused.code, refused.json()['message']]).toEqual([
      403,
      'users "grace" is forbidden: User "another-client" cannot impersonate resource "users" in API group "" at the cluster scope',
    ])
  })

  test('lets Gatehouse itself read the version only', async () => {
    const forbidden = await playground.call('/api/v1/pods', { headers: [] })
    expect([forbidden.code, forbidden.json()['reason']]).toEqual([403, 'Forbidden'])
    const version = await playground.call('/version', { headers: [] })
    expect(version.json()['gitVersion']).toBe('v1.36.3+gatehouse-playground')
  })
})

describe('impersonation headers', () => {
  const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

  test.for(['HTTP/1.1', 'HTTP/2'])(
    'name the user, UID, groups, and extras with decoded keys over %s',
    async (version) => {
      const headers = [
        ...['impersonate-user', latin1('grüße@example.com'), 'impersonate-uid', '7'],
        ...['impersonate-group', 'a,b', 'impersonate-group', 'c'],
        ...['impersonate-extra-example.com%2ff%c3%b6o', 'one'],
        ...['impersonate-extra-example.com%2ff%c3%b6o', 'two'],
        ...['impersonate-extra-100%zz', 'three'],
      ]
      const review =
        version === 'HTTP/2'
          ? await playground.postHttp2(reviews, headers, '{}')
          : await playground.call(reviews, { method: 'POST', headers, body: '{}' })
      expect(review.code).toBe(201)
      expect(review.json()['status']).toEqual({
        userInfo: {
          username: 'grüße@example.com',
          uid: '7',
          groups: ['a,b', 'c', 'system:authenticated'],
          extra: { 'example.com/föo': ['one', 'two'], '100%zz': ['three'] },
        },
      })
    },
  )

  test('are not case-sensitive', async () => {
    const headers = ['Impersonate-User', 'ada', 'Impersonate-Extra-Example.com%2FF%C3%B6O', 'one']
    const review = await playground.call(reviews, { method: 'POST', headers, body: '{}' })
    expect(review.json()['status']).toMatchObject({
      userInfo: { username: 'ada', extra: { 'example.com/föo': ['one'] } },
    })
  })

  test.for([
    { name: 'a group', headers: ['impersonate-group', 'a'] },
    { name: 'a uid', headers: ['impersonate-uid', 'a'] },
    { name: 'an extra', headers: ['impersonate-extra-a', 'a'] },
    { name: 'an empty user name', headers: ['impersonate-user', ''] },
  ])('with $name, but without a user, are refused', async ({ headers }) => {
    const refused = await playground.call('/api/v1/pods', { headers })
    expect([refused.code, refused.json()['reason']]).toEqual([400, 'BadRequest'])
  })

  test.for([
    {
      name: 'a service account gets the groups of service accounts',
      headers: ['impersonate-user', 'system:serviceaccount:team-a:bot'],
      groups: ['system:serviceaccounts', 'system:serviceaccounts:team-a', 'system:authenticated'],
    },
    {
      name: 'an unauthenticated user does not get system:authenticated',
      headers: ['impersonate-user', 'x', 'impersonate-group', 'system:unauthenticated'],
      groups: ['system:unauthenticated'],
    },
  ])('$name', async ({ headers, groups }) => {
    const review = await playground.call(reviews, { method: 'POST', headers, body: '{}' })
    expect(review.json()['status']).toMatchObject({ userInfo: { groups } })
  })
})

import { expect, test, vi } from 'vitest'

import type { Attributes } from '../../src/authorization/authorizer.ts'
import { ReviewError, type ReviewResponse } from '../../src/cluster/review-client.ts'
import { createAccessReviewer } from '../../src/impersonation/access-reviews.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'

function attributesOf(target: string, username = 'ada'): Attributes {
  const info = resolveRequestInfo('GET', parseTarget('GET', target))
  return { user: { username, uid: '7', groups: ['a'], extra: { k: ['v'] } }, info }
}

const decided = (status: object): ReviewResponse => ({ status: 201, body: { status } })

function reviewerOf(post: () => Promise<ReviewResponse>) {
  let time = 0
  const posts = vi.fn<(request: unknown) => Promise<ReviewResponse>>(post)
  const onFailure = vi.fn<(problem: string) => void>()
  const review = createAccessReviewer(
    { lifetime: 10_000, maxEntries: 2, maxPending: 3 },
    { reviewClient: { post: posts }, now: () => time, onFailure },
  )
  return { review, posts, onFailure, pass: (milliseconds: number) => (time += milliseconds) }
}

test('the API server is asked as Gatehouse about the user and the whole request', async () => {
  const { review, posts } = reviewerOf(async () => decided({ allowed: true }))
  await review(attributesOf('/api/v1/namespaces/x/pods?labelSelector=a%3Db&fieldSelector=c%3Dd'))
  expect(posts).toHaveBeenCalledWith({
    kind: 'SubjectAccessReview',
    as: 'gatehouse',
    spec: {
      user: 'ada',
      uid: '7',
      groups: ['a'],
      extra: { k: ['v'] },
      resourceAttributes: {
        verb: 'list',
        group: '',
        version: 'v1',
        resource: 'pods',
        subresource: '',
        namespace: 'x',
        name: '',
        fieldSelector: { rawSelector: 'c=d' },
        labelSelector: { rawSelector: 'a=b' },
      },
    },
  })
  await review(attributesOf('/version'))
  expect(posts.mock.lastCall?.[0]).toMatchObject({
    spec: { nonResourceAttributes: { verb: 'get', path: '/version' } },
  })
})

test.for([
  [{ allowed: true }, true, ''],
  [{ allowed: true, reason: 'RBAC: allowed by x' }, true, 'RBAC: allowed by x'],
  [{ allowed: false }, false, ''],
  [{ allowed: false, reason: 'no', evaluationError: 'broken' }, false, 'broken: no'],
  [{ allowed: true, denied: true }, false, ''],
] as const)('%j is a decision', async ([status, allowed, reason]) => {
  const { review } = reviewerOf(async () => decided(status))
  expect(await review(attributesOf('/version'))).toEqual({ allowed, reason })
})

test.for<readonly [what: string, response: ReviewResponse]>([
  ['a status that is not 201', { status: 200, body: { status: { allowed: true } } }],
  ['no status', { status: 201, body: {} }],
  ['a status that is null', { status: 201, body: { status: null } }],
  ['no member allowed', decided({})],
  ['a member allowed that is a string', decided({ allowed: 'true' })],
  ['an overloaded API server', { status: 429, body: {} }],
  ['an internal error', { status: 500, body: { message: 'broken' } }],
])('%s is not a decision', async ([, response]) => {
  const { review, onFailure } = reviewerOf(async () => response)
  await expect(review(attributesOf('/version'))).rejects.toMatchObject({
    code: 503,
    headers: { 'Retry-After': '1' },
    message: expect.stringContaining('the API server did not decide') as string,
  })
  expect(onFailure).toHaveBeenCalledOnce()
})

test('a missing permission of Gatehouse is named, and another attempt is not proposed', async () => {
  const { review, onFailure } = reviewerOf(async () => ({
    status: 403,
    body: { message: 'subjectaccessreviews is forbidden' },
  }))
  await expect(review(attributesOf('/version'))).rejects.toMatchObject({
    code: 503,
    headers: {},
    message: expect.stringContaining(
      'grant create on subjectaccessreviews.authorization.k8s.io',
    ) as string,
  })
  expect(onFailure).toHaveBeenCalledWith('status 403: subjectaccessreviews is forbidden')
})

test('an API server that does not respond in time decides nothing', async () => {
  const { review, onFailure } = reviewerOf(async () => {
    throw new ReviewError('timeout', 'no response within 5000 ms')
  })
  await expect(review(attributesOf('/version'))).rejects.toMatchObject({ code: 503 })
  expect(onFailure).toHaveBeenCalledWith('no response within 5000 ms')
})

test('requests that ask the same share one review while it is fresh', async () => {
  const { review, posts, pass } = reviewerOf(async () => decided({ allowed: true }))
  await Promise.all([review(attributesOf('/version')), review(attributesOf('/version'))])
  pass(9_999)
  await review(attributesOf('/version'))
  expect(posts).toHaveBeenCalledOnce()
  pass(1)
  await review(attributesOf('/version'))
  expect(posts).toHaveBeenCalledTimes(2)
})

test('the lifetime of a decision begins with the decision', async () => {
  const slow = Promise.withResolvers<ReviewResponse>()
  const { review, posts, pass } = reviewerOf(() => slow.promise)
  const first = review(attributesOf('/version'))
  pass(60_000)
  const second = review(attributesOf('/version'))
  slow.resolve(decided({ allowed: false }))
  expect(await Promise.all([first, second])).toMatchObject([{ allowed: false }, { allowed: false }])
  expect(posts).toHaveBeenCalledOnce()
})

test('a failure is not remembered', async () => {
  let fails = true
  const { review, posts } = reviewerOf(async () =>
    fails ? { status: 500, body: {} } : decided({ allowed: true }),
  )
  await expect(review(attributesOf('/version'))).rejects.toMatchObject({ code: 503 })
  fails = false
  expect(await review(attributesOf('/version'))).toMatchObject({ allowed: true })
  expect(posts).toHaveBeenCalledTimes(2)
})

test('another user, group, uid, extra or request is another question', async () => {
  const { review, posts } = reviewerOf(async () => decided({ allowed: true }))
  const { user, info } = attributesOf('/version')
  for (const other of [
    { user, info },
    { user: { ...user, username: 'bob' }, info },
    { user: { ...user, uid: '8' }, info },
    { user: { ...user, groups: ['b'] }, info },
    { user: { ...user, groups: ['a', 'b'] }, info },
    { user: { ...user, extra: { k: ['w'] } }, info },
    { user, info: { ...info, verb: 'post' } },
    { user, info: { ...info, path: '/livez' } },
  ]) {
    await review(other)
  }
  expect(posts).toHaveBeenCalledTimes(8)
})

test('no more decisions are remembered than configured', async () => {
  const { review, posts } = reviewerOf(async () => decided({ allowed: true }))
  for (const name of ['a', 'b', 'c', 'a']) await review(attributesOf('/version', name))
  expect(posts).toHaveBeenCalledTimes(4)
})

test('no more reviews are under way than configured, and a refused one is not remembered', async () => {
  const slow = Promise.withResolvers<ReviewResponse>()
  const { review, posts } = reviewerOf(() => slow.promise)
  const waiting = ['a', 'b', 'c'].map((name) => review(attributesOf('/version', name)))
  await expect(review(attributesOf('/version', 'd'))).rejects.toMatchObject({
    code: 503,
    headers: { 'Retry-After': '1' },
  })
  slow.resolve(decided({ allowed: true }))
  await Promise.all(waiting)
  expect(await review(attributesOf('/version', 'd'))).toMatchObject({ allowed: true })
  expect(posts).toHaveBeenCalledTimes(4)
})

import { expect, test, vi } from 'vitest'

import type { ReviewResponse } from '../../src/cluster/review-client.ts'
import { createEnforcementProbe } from '../../src/impersonation/enforcement.ts'

function probeOf(respond: () => Promise<ReviewResponse>) {
  let time = 0
  const onFailure = vi.fn<(problem: string) => void>()
  const post = vi.fn<(request: unknown) => Promise<ReviewResponse>>(respond)
  const isEnforced = createEnforcementProbe(
    { lifetime: 60_000, identityHeaders: ['x-remote-user', 'nobody'] },
    { reviewClient: { post }, now: () => time, onFailure },
  )
  return { isEnforced, post, onFailure, pass: (milliseconds: number) => (time += milliseconds) }
}

const refused =
  (message: unknown, status = 400) =>
  async () => ({ status, body: { message } })

test.for<readonly [what: string, respond: () => Promise<ReviewResponse>, result: boolean]>([
  [
    'the words of the new filter',
    refused('requested &user.DefaultInfo{} without impersonating a user name'),
    true,
  ],
  [
    'the words of the earlier filter',
    refused('requested [{Group}] without impersonating a user'),
    false,
  ],
  ['other words', refused('no'), false],
  ['no words', refused(undefined), false],
  ['another status', refused('requested x without impersonating a user name', 403), false],
  ['a review that succeeds', async () => ({ status: 201, body: {} }), false],
  ['no response', () => Promise.reject(new Error('timeout')), false],
])('%s: %o', async ([, respond, result]) => {
  expect(await probeOf(respond).isEnforced()).toBe(result)
})

test('the API server is asked with a group and without a user', async () => {
  const { isEnforced, post } = probeOf(refused('no'))
  await isEnforced()
  expect(post).toHaveBeenCalledWith({
    kind: 'SelfSubjectReview',
    as: { identityHeaders: ['x-remote-user', 'nobody', 'impersonate-group', 'gatehouse:probe'] },
  })
})

test('the result is reused for a while', async () => {
  const { isEnforced, post, pass } = probeOf(refused('no'))
  await Promise.all([isEnforced(), isEnforced()])
  pass(59_999)
  await isEnforced()
  expect(post).toHaveBeenCalledOnce()
  pass(1)
  await isEnforced()
  expect(post).toHaveBeenCalledTimes(2)
})

test('a probe that finds nothing out is reported, and repeated after a second', async () => {
  let works = false
  const { isEnforced, onFailure, pass } = probeOf(async () =>
    works
      ? { status: 400, body: { message: 'x without impersonating a user name' } }
      : { status: 503, body: {} },
  )
  expect(await isEnforced()).toBe(false)
  expect(onFailure).toHaveBeenCalledExactlyOnceWith('status 503')
  works = true
  pass(999)
  expect(await isEnforced()).toBe(false)
  pass(1)
  expect(await isEnforced()).toBe(true)
})

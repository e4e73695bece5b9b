import { describe, expect, test } from 'vitest'

import { createMemoryLimiter, type LimiterOptions } from '../../src/limits/memory.ts'
import { createMetrics } from '../../src/metrics.ts'
import { StatusError } from '../../src/status.ts'

const WIDE = { requestsPerSecond: 1_000, burst: 1_000 }

function limiter(options: Partial<LimiterOptions> = {}) {
  let time = 0
  const limits = createMemoryLimiter(
    {
      address: WIDE,
      signIn: WIDE,
      groups: [],
      user: { read: WIDE, write: WIDE, list: WIDE, stream: WIDE },
      concurrent: { requests: 100, streams: 100 },
      maxTrackedKeys: 100,
      ...options,
    },
    { metrics: createMetrics({ processMetrics: false }), now: () => time },
  )
  return { limits, pass: (milliseconds: number) => (time += milliseconds) }
}

function user(username: string, groups: readonly string[] = []) {
  return { username, uid: '', groups, extra: {} }
}

function refusal(call: () => unknown): StatusError | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    if (error instanceof StatusError) return error
    throw error
  }
}

describe('the limit by address', () => {
  test('admits the burst and refuses the next request until a token is refilled', () => {
    const { limits, pass } = limiter({ address: { requestsPerSecond: 2, burst: 3 } })
    for (let i = 0; i < 3; i++) expect(refusal(() => limits.admitAddress('a'))).toBeUndefined()
    const refused = refusal(() => limits.admitAddress('a'))
    expect(refused).toMatchObject({ code: 429, reason: 'TooManyRequests' })
    pass(499)
    expect(refusal(() => limits.admitAddress('a'))).toBeDefined()
    pass(1)
    expect(refusal(() => limits.admitAddress('a'))).toBeUndefined()
  })

  test('does not charge one address for another', () => {
    const { limits } = limiter({ address: { requestsPerSecond: 1, burst: 1 } })
    limits.admitAddress('a')
    expect(refusal(() => limits.admitAddress('a'))).toBeDefined()
    expect(refusal(() => limits.admitAddress('b'))).toBeUndefined()
  })

  test('never refills beyond the burst', () => {
    const { limits, pass } = limiter({ address: { requestsPerSecond: 10, burst: 2 } })
    pass(3_600_000)
    limits.admitAddress('a')
    limits.admitAddress('a')
    expect(refusal(() => limits.admitAddress('a'))).toBeDefined()
  })
})

describe('the limit by user and class', () => {
  test('counts each class separately', () => {
    const { limits } = limiter({
      user: { read: WIDE, write: WIDE, stream: WIDE, list: { requestsPerSecond: 1, burst: 1 } },
    })
    limits.admitUser(user('ada'), 'list')
    expect(refusal(() => limits.admitUser(user('ada'), 'list'))?.message).toBe(
      'too many list requests by this user, retry after 1s',
    )
    expect(refusal(() => limits.admitUser(user('ada'), 'read'))).toBeUndefined()
    expect(refusal(() => limits.admitUser(user('grace'), 'list'))).toBeUndefined()
  })

  test('refuses with a Retry-After in whole seconds', () => {
    const { limits } = limiter({
      user: { read: WIDE, list: WIDE, stream: WIDE, write: { requestsPerSecond: 0.4, burst: 1 } },
    })
    limits.admitUser(user('ada'), 'write')
    const refused = refusal(() => limits.admitUser(user('ada'), 'write'))
    expect(refused?.headers).toEqual({
      'Retry-After': '3',
      'RateLimit-Limit': '1',
      'RateLimit-Remaining': '0',
      'RateLimit-Reset': '3',
    })
    expect(refused?.details).toEqual({ retryAfterSeconds: 3 })
  })

  test('limits concurrent requests and concurrent streams separately', () => {
    const { limits } = limiter({ concurrent: { requests: 2, streams: 1 } })
    const slots = [limits.admitUser(user('ada'), 'read'), limits.admitUser(user('ada'), 'write')]
    const stream = limits.admitUser(user('ada'), 'stream')
    expect(refusal(() => limits.admitUser(user('ada'), 'list'))?.message).toContain(
      'too many concurrent requests by this user (limit: 2)',
    )
    expect(refusal(() => limits.admitUser(user('ada'), 'stream'))?.message).toContain(
      'too many concurrent streams by this user (limit: 1)',
    )
    slots[0]?.release()
    // A second release does nothing.
    slots[0]?.release()
    limits.admitUser(user('ada'), 'list')
    expect(refusal(() => limits.admitUser(user('ada'), 'list'))).toBeDefined()
    stream.release()
    expect(refusal(() => limits.admitUser(user('ada'), 'stream'))).toBeUndefined()
  })
})

test('the sign-in endpoints have a limit by address of their own', () => {
  const { limits, pass } = limiter({ signIn: { requestsPerSecond: 1, burst: 2 } })
  limits.admitSignIn('2001:db8::1')
  limits.admitSignIn('2001:db8::2')
  expect(refusal(() => limits.admitSignIn('2001:db8::3'))?.message).toBe(
    'too many sign-in requests from this address, retry after 1s',
  )
  expect(refusal(() => limits.admitAddress('2001:db8::3'))).toBeUndefined()
  expect(refusal(() => limits.admitSignIn('2001:db9::3'))).toBeUndefined()
  pass(1_000)
  expect(refusal(() => limits.admitSignIn('2001:db8::3'))).toBeUndefined()
})

describe('the budget of a group', () => {
  const CI = { group: 'ci', requestsPerSecond: 1, burst: 2 }

  test('is shared by all of its users, whatever they request', () => {
    const { limits, pass } = limiter({ groups: [CI] })
    limits.admitUser(user('a', ['ci']), 'read')
    limits.admitUser(user('b', ['x', 'ci', 'ci']), 'write')
    expect(refusal(() => limits.admitUser(user('c', ['ci']), 'list'))).toMatchObject({
      code: 429,
      message: 'too many requests by users of the group "ci", retry after 1s',
    })
    expect(refusal(() => limits.admitUser(user('d', ['x']), 'read'))).toBeUndefined()
    pass(1_000)
    expect(refusal(() => limits.admitUser(user('c', ['ci']), 'list'))).toBeUndefined()
  })

  test('is not charged for what another limit refuses', () => {
    const { limits } = limiter({
      groups: [CI, { ...CI, group: 'small', burst: 1 }],
      user: { read: { requestsPerSecond: 1, burst: 1 }, write: WIDE, list: WIDE, stream: WIDE },
      concurrent: { requests: 2, streams: 1 },
    })
    const both = user('ada', ['ci', 'small'])
    limits.admitUser(both, 'read')
    // By the other group, by the user's own limit, and by the number of requests that run.
    expect(refusal(() => limits.admitUser(both, 'list'))?.message).toContain('"small"')
    expect(refusal(() => limits.admitUser(user('ada', ['ci']), 'read'))?.message).toContain('read')
    limits.admitUser(user('eve'), 'stream')
    expect(refusal(() => limits.admitUser(user('eve', ['ci']), 'stream'))?.message).toContain(
      'concurrent streams',
    )
    expect(refusal(() => limits.admitUser(user('bob', ['ci']), 'read'))).toBeUndefined()
    expect(refusal(() => limits.admitUser(user('cleo', ['ci']), 'read'))?.message).toContain('"ci"')
  })
})

test('the least recently used key is evicted when more keys are in use than are tracked', () => {
  const { limits } = limiter({ address: { requestsPerSecond: 1, burst: 1 }, maxTrackedKeys: 2 })
  limits.admitAddress('a')
  limits.admitAddress('b')
  limits.admitAddress('c')
  expect(refusal(() => limits.admitAddress('c'))).toBeDefined()
  expect(refusal(() => limits.admitAddress('a'))).toBeUndefined()
})

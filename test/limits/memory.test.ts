import { describe, expect, test } from 'vitest'

import { createMemoryLimiter, type MemoryLimiterOptions } from '../../src/limits/memory.ts'
import { createMetrics } from '../../src/metrics.ts'
import { StatusError } from '../../src/status.ts'

const WIDE = { requestsPerSecond: 1_000, burst: 1_000 }

function limiter(options: Partial<MemoryLimiterOptions> = {}) {
  let time = 0
  const limits = createMemoryLimiter(
    {
      address: WIDE,
      user: { read: WIDE, write: WIDE, list: WIDE, stream: WIDE },
      concurrent: { requests: 100, streams: 100 },
      maxTrackedKeys: 100,
      ...options,
    },
    { metrics: createMetrics({ processMetrics: false }), now: () => time },
  )
  return { limits, pass: (milliseconds: number) => (time += milliseconds) }
}

function user(username: string) {
  return { username, uid: '', groups: [], extra: {} }
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

test('the least recently used key is evicted when more keys are in use than are tracked', () => {
  const { limits } = limiter({ address: { requestsPerSecond: 1, burst: 1 }, maxTrackedKeys: 2 })
  limits.admitAddress('a')
  limits.admitAddress('b')
  limits.admitAddress('c')
  expect(refusal(() => limits.admitAddress('c'))).toBeDefined()
  expect(refusal(() => limits.admitAddress('a'))).toBeUndefined()
})

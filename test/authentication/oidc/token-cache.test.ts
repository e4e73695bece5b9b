import { expect, test } from 'vitest'

import { createTokenCache, tokenDigest } from '../../../src/authentication/oidc/token-cache.ts'

const authentication = (username: string) => ({
  user: { username, uid: '', groups: [], extra: {} },
  method: 'oidc',
  annotations: {},
})
const until = (expiresAt: number, username = 'ada') => ({
  authentication: authentication(username),
  expiresAt,
  size: 100,
})

test('a token is cached until it expires, and no longer at its expiry', () => {
  const cache = createTokenCache(10)
  cache.set('a', until(1_000), cache.generation)
  expect(cache.get('a', 999)?.user.username).toBe('ada')
  expect(cache.get('a', 1_000)).toBeUndefined()
  expect(cache.size).toBe(0)
})

test('a token that takes more than 4 KiB of memory counts as several', () => {
  const cache = createTokenCache(10)
  for (const digest of ['a', 'b', 'c']) {
    cache.set(digest, { ...until(1_000), size: 5 * 4_096 }, cache.generation)
  }
  expect(['a', 'b', 'c'].map((digest) => cache.get(digest, 0) !== undefined)).toEqual([
    false,
    true,
    true,
  ])
  // One that exceeds the whole cache is not kept, and removes no other.
  cache.set('d', { ...until(1_000), size: 11 * 4_096 }, cache.generation)
  expect(cache.get('d', 0)).toBeUndefined()
  expect(cache.get('c', 0)).toBeDefined()
})

test('the least recently used token is evicted', () => {
  const cache = createTokenCache(2)
  for (const digest of ['a', 'b']) cache.set(digest, until(1_000, digest), cache.generation)
  cache.get('a', 0)
  cache.set('c', until(1_000, 'c'), cache.generation)
  const known = ['a', 'b', 'c'].map((digest) => cache.get(digest, 0)?.user.username)
  expect(known).toEqual(['a', undefined, 'c'])
})

test('a token that was verified before the cache was cleared is not cached afterwards', () => {
  const cache = createTokenCache(10)
  const { generation } = cache
  cache.set('a', until(1_000), generation)
  cache.clear()
  cache.set('b', until(1_000), generation)
  expect(cache.size).toBe(0)
  cache.set('c', until(1_000), cache.generation)
  expect(cache.size).toBe(1)
})

test('the digest is SHA-256 (FIPS 180-4, example "abc")', () => {
  expect(tokenDigest('abc')).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  )
})

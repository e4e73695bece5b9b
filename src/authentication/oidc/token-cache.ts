import { hash } from 'node:crypto'

import { createLru } from '../../lru.ts'
import type { Authentication } from '../authenticator.ts'

/** Verified tokens, so that a signature is verified once and not with every request. */
export interface TokenCache {
  /**
   * Undefined when the token is not cached, or has expired by `now` (milliseconds since the epoch).
   */
  get(digest: string, now: number): Authentication | undefined
  /**
   * Caches a verified token until it expires. `generation` is the cache's generation from before
   * verification began: a token that was verified by keys or mappings that have been replaced since
   * is not cached.
   */
  set(digest: string, entry: VerifiedToken, generation: number): void
  /** Removes all tokens and begins a new generation. */
  clear(): void
  readonly generation: number
  readonly size: number
}

export interface VerifiedToken {
  readonly authentication: Authentication
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
  /** Bytes of memory that it takes, roughly. */
  readonly size: number
}

/** A token that takes more memory counts as several, so that large groups cannot fill the heap. */
const BYTES_PER_TOKEN = 4_096

/**
 * The cache key of a token. With a digest the cache does not hold credentials, and the time of a
 * lookup does not depend on how much of a token is right.
 */
export function tokenDigest(token: string): string {
  return hash('sha256', token, 'hex')
}

/** Creates a cache of at most `maxTokens` of 4 KiB each; it evicts the least recently used one. */
export function createTokenCache(maxTokens: number): TokenCache {
  const entries = createLru<VerifiedToken>(maxTokens, ({ size }) =>
    Math.max(1, Math.ceil(size / BYTES_PER_TOKEN)),
  )
  let generation = 0
  return {
    get(digest, now) {
      const entry = entries.get(digest)
      if (entry === undefined) return undefined
      if (now < entry.expiresAt) return entry.authentication
      entries.delete(digest)
      return undefined
    },
    set(digest, entry, generationOfEntry) {
      if (generationOfEntry === generation) entries.set(digest, entry)
    },
    clear() {
      entries.clear()
      generation++
    },
    get generation() {
      return generation
    },
    get size() {
      return entries.size
    },
  }
}

import { hash } from 'node:crypto'

import { createLru } from '../../lru.ts'
import type { Authentication } from '../authenticator.ts'

/** Verified tokens, so that a signature is verified once and not for every request. */
export interface TokenCache {
  /** Undefined when the token was not verified before, was pushed out, or has expired by `now`. */
  get(digest: string, now: number): Authentication | undefined
  /**
   * Keeps a verified token until `expiresAt`. Both times in milliseconds since the epoch.
   * `generation` is the cache's as it was before verification began: what was verified by keys or
   * mappings that are gone meanwhile is not kept.
   */
  set(digest: string, entry: VerifiedToken, generation: number): void
  /** Forgets everything and begins a new generation. */
  clear(): void
  readonly generation: number
  readonly size: number
}

export interface VerifiedToken {
  readonly authentication: Authentication
  readonly expiresAt: number
}

/**
 * Under this digest a token is kept: the cache holds no credential, and looking one up takes the
 * same time whichever bytes of it are right.
 */
export function tokenDigest(token: string): string {
  return hash('sha256', token, 'hex')
}

/** Makes a cache of at most `maxTokens`; the least recently used one leaves first. */
export function createTokenCache(maxTokens: number): TokenCache {
  const entries = createLru<VerifiedToken>(maxTokens)
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

/**
 * Names of users and addresses as Redis sees them: keyed digests, so that whoever reads Redis learns no
 * names, and cannot try out likely ones either.
 */
import { createHmac } from 'node:crypto'

import { createLru } from '../lru.ts'
import type { StateKey, StateSecret } from './state-secret.ts'

/** 128 bits: a collision would join the budgets of two users. */
const DIGEST_BYTES = 16
/** Characters of all names whose digests are remembered: names are as long as a header may be. */
const MAX_CACHED_CHARACTERS = 1_000_000

export interface KeyedDigest {
  /**
   * The digest of a name with the current key, 22 characters of base64url.
   *
   * @param kind such as `user` or `address`: equal names of two kinds have different digests. Without NUL
   */
  of(kind: string, name: string): string
  /** The digests with every key, the current one first: to find what was written before a rotation. */
  everyOf(kind: string, name: string): readonly string[]
}

/** Creates the digests; those of the current key are remembered. */
export function createKeyedDigest({ current, previous }: StateSecret): KeyedDigest {
  const cache = createLru<{ readonly digest: string; readonly size: number }>(
    MAX_CACHED_CHARACTERS,
    ({ size }) => size,
  )
  return {
    of(kind, name) {
      const text = `${kind}\0${name}`
      const cached = cache.get(text)
      if (cached !== undefined) return cached.digest
      const digest = digestWith(current, text)
      cache.set(text, { digest, size: text.length + digest.length })
      return digest
    },
    everyOf: (kind, name) =>
      [current, ...previous].map((key) => digestWith(key, `${kind}\0${name}`)),
  }
}

function digestWith({ digestKey }: StateKey, text: string): string {
  const bytes = createHmac('sha256', digestKey).update(text).digest()
  return bytes.toString('base64url', 0, DIGEST_BYTES)
}

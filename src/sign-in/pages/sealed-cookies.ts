import { hkdfSync } from 'node:crypto'

import { compactDecrypt, CompactEncrypt } from 'jose'

import type { CookieKeys } from './cookie-keys.ts'

/** What a cookie is for. A cookie of one purpose is not one of another, even under the same name. */
export type CookiePurpose = 'sign-in' | 'session'

export interface SealedCookies {
  /** Encrypts and authenticates a value (JWE, `dir` with A256GCM). */
  seal(purpose: CookiePurpose, value: object): Promise<string>
  /** What was sealed with one of the keys; undefined for anything else. */
  open(purpose: CookiePurpose, cookie: string): Promise<unknown>
}

const HEADER = { alg: 'dir', enc: 'A256GCM' } as const
const ALGORITHMS = {
  keyManagementAlgorithms: [HEADER.alg],
  contentEncryptionAlgorithms: [HEADER.enc],
}
/** Longer cookies were not made here. */
const MAX_COOKIE_LENGTH = 4_096

/**
 * Creates the encryption of cookies.
 *
 * @param keys the first one encrypts, all decrypt
 * @param audience what else the cookies are bound to, such as the pages' URL and their client ID: another
 * Gatehouse with the same keys does not accept them
 */
export function createSealedCookies(keys: CookieKeys, audience: readonly string[]): SealedCookies {
  const derived: Readonly<Record<CookiePurpose, readonly Uint8Array[]>> = {
    'sign-in': keys.map((key) => deriveKey(key, 'sign-in', audience)),
    session: keys.map((key) => deriveKey(key, 'session', audience)),
  }
  return {
    async seal(purpose, value) {
      const [key] = derived[purpose]
      if (key === undefined) throw new Error('no cookie key has been loaded')
      const plaintext = Buffer.from(JSON.stringify(value))
      return new CompactEncrypt(plaintext).setProtectedHeader(HEADER).encrypt(key)
    },
    async open(purpose, cookie) {
      if (cookie.length > MAX_COOKIE_LENGTH) return undefined
      for (const key of derived[purpose]) {
        try {
          const { plaintext } = await compactDecrypt(cookie, key, ALGORITHMS)
          return JSON.parse(Buffer.from(plaintext).toString('utf8')) as unknown
        } catch {
          // An earlier key may open it.
        }
      }
      return undefined
    },
  }
}

/** RFC 5869. */
function deriveKey(key: Buffer, purpose: CookiePurpose, audience: readonly string[]): Uint8Array {
  const info = JSON.stringify(['gatehouse cookie v1', purpose, ...audience])
  return new Uint8Array(hkdfSync('sha256', key, '', info, 32))
}

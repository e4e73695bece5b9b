import { compactVerify } from 'jose'

import { unauthorized } from '../bearer.ts'
import type { UnverifiedToken } from './compact-jws.ts'
import type { KeySource } from './jwks.ts'
import { keysFor, type KeySet } from './key-set.ts'

/** A payload whose signature is verified, and the fingerprint of the key that verified it. */
export interface VerifiedPayload {
  readonly payload: Uint8Array
  readonly fingerprint: string
}

/**
 * Candidate keys that are tried for one token. A token without a kid makes every key for its
 * algorithm a candidate, so its sender decides how many there are; issuers that sign without a kid
 * have one or two.
 */
const MAX_TRIED = 8

/**
 * Verifies the signature with the issuer's keys and returns the payload. If that fails, the keys are
 * fetched again, within the limits of `refetch`, and those that were not known are tried: an issuer
 * may have put a new key under an old kid.
 *
 * Rejects with StatusError 401.
 */
export async function verifySignature(
  token: string,
  unverified: UnverifiedToken,
  source: KeySource,
): Promise<VerifiedPayload> {
  const known = source.current()
  const verified = await tryKeys(token, unverified, known)
  if (verified !== undefined) {
    source.used()
    return verified
  }
  const renewed = await source.refetch()
  const tried = new Set(known.map(({ fingerprint }) => fingerprint))
  const added = renewed.filter(({ fingerprint }) => !tried.has(fingerprint))
  const byAdded = await tryKeys(token, unverified, added)
  if (byAdded !== undefined) return byAdded
  throw unauthorized(refusalCause(unverified, renewed, source.problem()))
}

function refusalCause(token: UnverifiedToken, keys: KeySet, problem: string | undefined): string {
  if (problem !== undefined) return "the issuer's keys have not been loaded yet, or have expired"
  const candidates = keysFor(keys, token).length
  if (candidates === 0) return 'the issuer has no key for the key ID and algorithm of the token'
  return candidates > MAX_TRIED
    ? `none of the first ${MAX_TRIED} candidate keys verified the signature`
    : 'the signature is invalid'
}

async function tryKeys(
  token: string,
  unverified: UnverifiedToken,
  keys: KeySet,
): Promise<VerifiedPayload | undefined> {
  const algorithms = [unverified.algorithm]
  for (const { key, fingerprint } of keysFor(keys, unverified).slice(0, MAX_TRIED)) {
    try {
      const { payload } = await compactVerify(token, key, { algorithms })
      return { payload, fingerprint }
    } catch {
      // Another key may verify it; if none does, the token is refused.
    }
  }
  return undefined
}

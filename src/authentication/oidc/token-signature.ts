import { compactVerify } from 'jose'

import { unauthorized } from '../bearer.ts'
import type { UnverifiedToken } from './compact-jws.ts'
import type { KeySource } from './jwks.ts'
import { keysFor, type KeySet } from './key-set.ts'

/** A payload whose signature is good, and the fingerprint of the key that verified it. */
export interface VerifiedPayload {
  readonly payload: Uint8Array
  readonly fingerprint: string
}

/**
 * Keys tried for one token, since whoever sends it chooses how many fit: all that are for its
 * algorithm where it names none. Issuers that sign without a kid have one or two.
 */
const MAX_TRIED = 8

/**
 * The payload, once a key of the issuer has verified the signature. Only a token that no known key
 * is named for is worth asking the issuer: a wrong signature under a known key is just wrong.
 * Rejects with StatusError 401.
 */
export async function verifySignature(
  token: string,
  unverified: UnverifiedToken,
  source: KeySource,
): Promise<VerifiedPayload> {
  const known = source.current()
  const verified = await tryKeys(token, unverified, known)
  if (verified !== undefined) return verified
  const isKeyKnown = known.some(({ kid }) => kid !== undefined && kid === unverified.kid)
  const renewed = isKeyKnown ? known : await source.refetch()
  const byRenewed = renewed === known ? undefined : await tryKeys(token, unverified, renewed)
  if (byRenewed !== undefined) return byRenewed
  throw unauthorized(refusalOfKeys(unverified, renewed, source.problem()))
}

function refusalOfKeys(token: UnverifiedToken, keys: KeySet, problem: string | undefined): string {
  if (problem !== undefined) return 'no keys of the issuer could be loaded yet'
  const candidates = keysFor(keys, token).length
  if (candidates === 0) return 'the issuer has no key for the key id and algorithm of the token'
  return candidates > MAX_TRIED
    ? `none of the first ${MAX_TRIED} keys that may have signed the token has`
    : 'the signature is wrong'
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
      // Another key may fit; when none does, the token is refused.
    }
  }
  return undefined
}

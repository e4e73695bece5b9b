import { compactVerify } from 'jose'

import type { Log } from '../log.ts'
import type { AuthenticationConfiguration, Issuer } from './authentication-config.ts'
import type { Authentication } from './authenticator.ts'
import { unauthorized } from './bearer.ts'
import { checkRequiredClaims, mapClaims } from './claim-mappings.ts'
import { readClaims, readCompactJws, type UnverifiedToken } from './compact-jws.ts'
import { createJsonFetcher } from './json-fetch.ts'
import { createKeySource, SYSTEM_TIMING, type KeySource, type Timing } from './jwks.ts'
import { keysFor, type KeySet } from './key-set.ts'
import { checkRegisteredClaims } from './registered-claims.ts'
import { createTokenCache, tokenDigest, type VerifiedToken } from './token-cache.ts'

export interface OidcAuthenticator {
  /**
   * Who a bearer token (without its scheme) is. A token that was verified before is answered at
   * once, without a promise, and with the same object. Rejects with StatusError 401; why is in its
   * cause, in words of the configuration and never of the token.
   */
  authenticate(token: string): Authentication | Promise<Authentication>
  /** One entry an issuer, in the file's order; `problem`: why its keys were never loaded. */
  readiness(): readonly IssuerReadiness[]
  /**
   * Goes over to another configuration at once. Issuers that are in both keep their keys; verified
   * tokens are judged anew.
   */
  update(configuration: AuthenticationConfiguration): void
  /** Ends fetches and timers. */
  close(): void
}

export interface IssuerReadiness {
  readonly issuer: string
  readonly problem: string | undefined
}

export interface OidcDependencies {
  readonly log: Log
  /** Verified tokens that are kept, at most; 10,000 unless said otherwise. */
  readonly tokenCacheSize?: number
  readonly timing?: Partial<Timing>
}

interface ActiveIssuer {
  readonly configuration: Issuer
  readonly keys: KeySource
}

/**
 * Makes the authenticator of OIDC ID tokens, by kube-apiserver's rules
 * (plugin/pkg/authenticator/token/oidc) and RFC 8725. Fetching of keys begins at once.
 */
export function createOidcAuthenticator(
  configuration: AuthenticationConfiguration,
  { log, tokenCacheSize = 10_000, timing: timingOverrides }: OidcDependencies,
): OidcAuthenticator {
  const timing: Timing = { ...SYSTEM_TIMING, ...timingOverrides }
  const cache = createTokenCache(tokenCacheSize)
  let issuers = activate(configuration, new Map())

  /** Issuers of the configuration by URL; key sources that fit are taken over from `before`. */
  function activate(
    next: AuthenticationConfiguration,
    before: ReadonlyMap<string, ActiveIssuer>,
  ): ReadonlyMap<string, ActiveIssuer> {
    return new Map(
      next.issuers.map((issuer) => {
        const known = before.get(issuer.url)
        const keys =
          known !== undefined && hasSameKeys(known.configuration, issuer)
            ? known.keys
            : createKeySource({
                issuer: issuer.url,
                discoveryUrl: issuer.discoveryUrl,
                fetcher: createJsonFetcher(issuer),
                timing,
                log,
                onKeyDropped: () => cache.clear(),
              })
        return [issuer.url, { configuration: issuer, keys }]
      }),
    )
  }

  async function verify(token: string, digest: string): Promise<Authentication> {
    const { generation } = cache
    const unverified = readCompactJws(token)
    const issuer = issuers.get(unverified.issuer)
    if (issuer === undefined) throw unauthorized('the issuer (iss) is none of those configured')
    const payload = await verifySignature(token, unverified, issuer.keys)
    const verified = judgeClaims(payload, issuer.configuration, timing.clock())
    cache.set(digest, verified, generation)
    return verified.authentication
  }

  return {
    authenticate(token) {
      const digest = tokenDigest(token)
      return cache.get(digest, timing.clock()) ?? verify(token, digest)
    },
    readiness: () =>
      [...issuers.values()].map(({ configuration: { url }, keys }) => ({
        issuer: url,
        problem: keys.problem(),
      })),
    update(next) {
      const before = issuers
      issuers = activate(next, before)
      const kept = new Set([...issuers.values()].map(({ keys }) => keys))
      for (const { keys } of before.values()) if (!kept.has(keys)) keys.close()
      cache.clear()
    },
    close() {
      for (const { keys } of issuers.values()) keys.close()
      cache.clear()
    },
  }
}

function hasSameKeys(a: Issuer, b: Issuer): boolean {
  return a.discoveryUrl === b.discoveryUrl && a.certificateAuthority === b.certificateAuthority
}

/**
 * The payload, once a key of the issuer has verified the signature. Only a token that no known key
 * is named for is worth asking the issuer: a wrong signature under a known key is just wrong.
 */
async function verifySignature(
  token: string,
  unverified: UnverifiedToken,
  source: KeySource,
): Promise<Uint8Array> {
  const known = source.current()
  const payload = await tryKeys(token, unverified, known)
  if (payload !== undefined) return payload
  const isKeyKnown = known.some(({ kid }) => kid !== undefined && kid === unverified.kid)
  const renewed = isKeyKnown ? known : await source.refetch()
  const payloadByRenewed = renewed === known ? undefined : await tryKeys(token, unverified, renewed)
  if (payloadByRenewed !== undefined) return payloadByRenewed
  throw unauthorized(refusalOfKeys(unverified, renewed, source.problem()))
}

function refusalOfKeys(token: UnverifiedToken, keys: KeySet, problem: string | undefined): string {
  if (problem !== undefined) return 'no keys of the issuer could be loaded yet'
  return keysFor(keys, token).length === 0
    ? 'the issuer has no key for the key id and algorithm of the token'
    : 'the signature is wrong'
}

async function tryKeys(
  token: string,
  unverified: UnverifiedToken,
  keys: KeySet,
): Promise<Uint8Array | undefined> {
  const algorithms = [unverified.algorithm]
  for (const { key } of keysFor(keys, unverified)) {
    try {
      return (await compactVerify(token, key, { algorithms })).payload
    } catch {
      // Another key may fit; when none does, the token is refused.
    }
  }
  return undefined
}

function judgeClaims(payload: Uint8Array, issuer: Issuer, now: number): VerifiedToken {
  const claims = readClaims(payload)
  const { url, audiences } = issuer
  const expiresAt = checkRegisteredClaims(claims, { issuer: url, audiences, now })
  checkRequiredClaims(claims, issuer.requiredClaims)
  const authentication: Authentication = {
    user: mapClaims(claims, issuer.claimMappings),
    method: 'oidc',
    annotations: { 'authentication.gatehouse/issuer': url },
  }
  return { authentication, expiresAt }
}

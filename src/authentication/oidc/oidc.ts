import { isDeepStrictEqual } from 'node:util'

import type { Log } from '../../log.ts'
import type { Authentication, UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { quote } from '../quote.ts'
import type { AuthenticationConfiguration, Issuer } from './authentication-config.ts'
import { checkRequiredClaims, mapClaims } from './claim-mappings.ts'
import { readClaims, readCompactJws } from './compact-jws.ts'
import { createJsonFetcher } from './json-fetch.ts'
import { createKeySource, SYSTEM_TIMING, type KeySource, type Timing } from './jwks.ts'
import { checkParties, checkRegisteredClaims } from './registered-claims.ts'
import type { JsonObject } from './strict-json.ts'
import { createTokenCache, tokenDigest, type VerifiedToken } from './token-cache.ts'
import { verifySignature, type VerifiedPayload } from './token-signature.ts'

export interface OidcAuthenticator {
  /**
   * Who a bearer token (without its scheme) is. A token that was verified before is answered at
   * once, without a promise, and with the same object. Rejects with StatusError 401; why is in its
   * cause, in words of the configuration and never of the token.
   */
  authenticate(token: string): Authentication | Promise<Authentication>
  /**
   * Why a sign-in of before would not be accepted by the configuration and the keys of now, its
   * times aside; undefined when it would, and as the same user. Of others' sign-ins it says that
   * they are not its own.
   */
  review(authentication: Authentication): string | undefined
  /** One entry an issuer, in the file's order; `problem`: why its keys were never loaded. */
  readiness(): readonly IssuerReadiness[]
  /**
   * Goes over to another configuration at once. Issuers that are in both keep their keys; verified
   * tokens are judged anew.
   */
  update(configuration: AuthenticationConfiguration): void
  /** Calls back whenever an issuer has taken a key back: what runs by it should be reviewed. */
  onKeyDropped(callback: () => void): void
  /** Ends fetches and timers. */
  close(): void
}

export interface IssuerReadiness {
  readonly issuer: string
  readonly problem: string | undefined
  /** False while the first attempt to load its keys is under way. */
  readonly wasTried: boolean
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

/** What it takes to judge a sign-in again; of the token, only what says who it was. */
interface Proof extends VerifiedPayload {
  readonly issuer: string
  readonly user: UserInfo
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
  // By the member that goes on unchanged when the identity is guarded.
  const proofs = new WeakMap<Authentication['annotations'], Proof>()
  let keyDropped = (): void => undefined
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
                onKeyDropped() {
                  cache.clear()
                  keyDropped()
                },
              })
        return [issuer.url, { configuration: issuer, keys }]
      }),
    )
  }

  async function verify(token: string, digest: string): Promise<Authentication> {
    const { generation } = cache
    const unverified = readCompactJws(token)
    const issuer = issuers.get(unverified.issuer)
    if (issuer === undefined) {
      const { issuer: named } = unverified
      throw unauthorized(`the issuer (iss) is none of those configured: ${quote(named)}`)
    }
    const verified = await verifySignature(token, unverified, issuer.keys)
    // Configuration or keys have changed meanwhile: what would be let in now is let in.
    if (cache.generation !== generation) return verify(token, digest)
    const { authentication, proof, expiresAt } = judgeClaims(
      verified,
      issuer.configuration,
      timing.clock(),
    )
    proofs.set(authentication.annotations, proof)
    cache.set(digest, { authentication, expiresAt }, generation)
    return authentication
  }

  function review(proof: Proof): string | undefined {
    const issuer = issuers.get(proof.issuer)
    if (issuer === undefined) return 'the issuer of the token is no longer configured'
    if (!issuer.keys.current().some(({ fingerprint }) => fingerprint === proof.fingerprint)) {
      return "the key that verified the token is no longer known as its issuer's"
    }
    try {
      const user = userOf(readClaims(proof.payload), issuer.configuration)
      return isDeepStrictEqual(user, proof.user) ? undefined : 'the token names another user now'
    } catch (error) {
      return causeOf(error)
    }
  }

  return {
    authenticate(token) {
      const digest = tokenDigest(token)
      return cache.get(digest, timing.clock()) ?? verify(token, digest)
    },
    review({ annotations }) {
      const proof = proofs.get(annotations)
      return proof === undefined ? 'it was no token that signed in' : review(proof)
    },
    readiness: () =>
      [...issuers.values()].map(({ configuration: { url }, keys }) => ({
        issuer: url,
        problem: keys.problem(),
        wasTried: keys.wasTried(),
      })),
    update(next) {
      const before = issuers
      issuers = activate(next, before)
      const kept = new Set([...issuers.values()].map(({ keys }) => keys))
      for (const { keys } of before.values()) if (!kept.has(keys)) keys.close()
      cache.clear()
    },
    onKeyDropped(callback) {
      keyDropped = callback
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

function judgeClaims(
  { payload, fingerprint }: VerifiedPayload,
  issuer: Issuer,
  now: number,
): VerifiedToken & { readonly proof: Proof } {
  const claims = readClaims(payload)
  const { url, audiences } = issuer
  const expiresAt = checkRegisteredClaims(claims, { issuer: url, audiences, now })
  const user = userOf(claims, issuer)
  const annotations = { 'authentication.gatehouse/issuer': url }
  return {
    authentication: { user, method: 'oidc', annotations },
    expiresAt,
    proof: { issuer: url, payload, fingerprint, user },
  }
}

/** What claims say of the user, whenever they say it. Throws StatusError 401. */
function userOf(claims: JsonObject, issuer: Issuer): UserInfo {
  checkParties(claims, { issuer: issuer.url, audiences: issuer.audiences })
  checkRequiredClaims(claims, issuer.requiredClaims)
  return mapClaims(claims, issuer.claimMappings)
}

function causeOf(error: unknown): string {
  const { cause } = error as Error
  return cause instanceof Error ? cause.message : String(error)
}

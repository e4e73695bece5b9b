import { isDeepStrictEqual } from 'node:util'

import type { ProxyFor } from '../../config/egress-proxy.ts'
import { causeOf } from '../../http/refusal.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { Authentication, UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { quote } from '../quote.ts'
import type { SignIn } from '../sign-in.ts'
import type { AuthenticationConfiguration, Issuer } from './authentication-config.ts'
import { readClaims, readCompactJws, type UnverifiedToken } from './compact-jws.ts'
import { ownMember } from './strict-json.ts'
import { createJsonFetcher } from './json-fetch.ts'
import {
  createKeySource,
  createStaticKeySource,
  SYSTEM_TIMING,
  type KeySource,
  type Timing,
} from './jwks.ts'
import { readLogoutToken, type LogoutToken } from './logout-token.ts'
import { checkRegisteredClaims, issuerUrl } from './registered-claims.ts'
import { createReservedNames, type ReservedNames } from './reserved-names.ts'
import { createTokenCache, tokenDigest, type VerifiedToken } from './token-cache.ts'
import { verifySignature, type VerifiedPayload } from './token-signature.ts'
import { userOf } from './token-user.ts'

/** Authenticates by ID tokens. It claims every token, so it must be the last method that takes tokens. */
export interface OidcSignIn extends SignIn {
  /**
   * Puts a configuration into effect at once. Issuers that are in the previous one as well keep
   * their keys; verified tokens are judged again. Before the first call no token is accepted.
   */
  update(configuration: AuthenticationConfiguration): void
  /**
   * Verifies a logout token of a configured issuer, for a client of it. Such a token is not a credential.
   *
   * Rejects with StatusError 401.
   */
  verifyLogoutToken(token: string, clientID: string): Promise<LogoutToken>
}

export interface OidcOptions {
  /** Verified tokens that are kept, at most; 10,000 by default. */
  readonly tokenCacheSize?: number
  readonly timing?: Partial<Timing>
  /** For the issuers' documents. */
  readonly proxyFor: ProxyFor
}

export interface OidcEffects {
  readonly log: Log
  /** An issuer has withdrawn a key: requests that rely on it should be rechecked. */
  readonly onRevoked: () => void
  readonly metrics: Pick<Metrics, 'issuerKeysFetched' | 'issuerCachedKeyUses'>
}

/** How long keys are used while the issuer is unreachable, without options for it. */
const KEY_LIFETIME_MS = 24 * 3_600_000

const METHOD = 'oidc'

interface ActiveIssuer {
  readonly configuration: Issuer
  readonly keys: KeySource
}

/** What a recheck needs; of the token, only what identifies the user. */
interface Proof extends VerifiedPayload {
  readonly issuer: string
  readonly user: UserInfo
}

/**
 * Creates authentication by OIDC ID tokens, which follows kube-apiserver's rules
 * (plugin/pkg/authenticator/token/oidc) and RFC 8725. Keys are fetched from the first `update` on.
 */
export function createOidcSignIn(
  { tokenCacheSize = 10_000, timing: timingOverrides, proxyFor }: OidcOptions,
  { log, onRevoked, metrics }: OidcEffects,
): OidcSignIn {
  const timing: Timing = { ...SYSTEM_TIMING, ...timingOverrides }
  const cache = createTokenCache(tokenCacheSize)
  // Keyed by the annotations, since the identity guard keeps that object.
  const proofs = new WeakMap<Authentication['annotations'], Proof>()
  let issuers: ReadonlyMap<string, ActiveIssuer> = new Map()
  let reserves: ReservedNames = () => undefined

  /** Issuers of the configuration by URL; key sources are reused from `before` where they match. */
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
            : keySourceOf(issuer)
        return [issuer.url, { configuration: issuer, keys }]
      }),
    )
  }

  function keySourceOf({ url, discoveryUrl, certificateAuthority, access }: Issuer): KeySource {
    if (access?.keys !== undefined) return createStaticKeySource(access.keys.usable)
    const fetching = { certificateAuthority, proxyFor, proxy: access?.proxy }
    return createKeySource(
      { issuer: url, discoveryUrl, keyLifetime: access?.keyLifetime ?? KEY_LIFETIME_MS },
      {
        ...{ fetcher: createJsonFetcher(fetching), timing, log, onKeyDropped },
        onFetched: () => metrics.issuerKeysFetched.set({ issuer: url }, timing.clock() / 1_000),
        onCachedKeyUsed: () => metrics.issuerCachedKeyUses.inc({ issuer: url }),
      },
    )
  }

  function forget({ keys, configuration: { url } }: ActiveIssuer): void {
    keys.close()
    // Set again by the next fetch, if the issuer has only another way to its keys.
    metrics.issuerKeysFetched.remove({ issuer: url })
    metrics.issuerCachedKeyUses.remove({ issuer: url })
  }

  function onKeyDropped(): void {
    cache.clear()
    onRevoked()
  }

  function issuerOf({ issuer: named }: UnverifiedToken): ActiveIssuer {
    const issuer = issuers.get(issuerUrl(named))
    if (issuer !== undefined) return issuer
    throw unauthorized(`the issuer (iss) is not one of the configured issuers: ${quote(named)}`)
  }

  async function verify(token: string, digest: string): Promise<Authentication> {
    const { generation } = cache
    const unverified = readCompactJws(token)
    const issuer = issuerOf(unverified)
    const verified = await verifySignature(token, unverified, issuer.keys)
    // Configuration or keys have changed in the meantime: the current ones decide.
    if (cache.generation !== generation) return verify(token, digest)
    const { authentication, proof, ...validity } = judgeClaims(
      verified,
      issuer.configuration,
      timing.clock(),
    )
    proofs.set(authentication.annotations, proof)
    cache.set(digest, { authentication, ...validity }, generation)
    return authentication
  }

  function recheck(proof: Proof): string | undefined {
    const issuer = issuers.get(proof.issuer)
    if (issuer === undefined) return 'the issuer of the token is no longer configured'
    if (!issuer.keys.current().some(({ fingerprint }) => fingerprint === proof.fingerprint)) {
      return "the key that verified the token is no longer known as its issuer's"
    }
    try {
      const user = userOf(readClaims(proof.payload), issuer.configuration)
      return isDeepStrictEqual(user, proof.user) ? undefined : 'the token now maps to another user'
    } catch (error) {
      const { cause } = error as Error
      return cause instanceof Error ? causeOf(cause) : String(error)
    }
  }

  return {
    method: METHOD,
    authenticate(credential) {
      if (credential.kind !== 'token') return undefined
      const { token } = credential
      const digest = tokenDigest(token)
      return cache.get(digest, timing.clock()) ?? verify(token, digest)
    },
    recheck({ annotations }) {
      const proof = proofs.get(annotations)
      return proof === undefined ? 'the user did not authenticate with a token' : recheck(proof)
    },
    async verifyLogoutToken(token, clientID) {
      const unverified = readCompactJws(token)
      const { configuration, keys } = issuerOf(unverified)
      const { payload } = await verifySignature(token, unverified, keys)
      return readLogoutToken(payload, { issuer: configuration.url, clientID, now: timing.clock() })
    },
    reserves: (user) => reserves(user),
    readiness: () =>
      [...issuers.values()].map(({ configuration: { url }, keys }) => ({
        name: `jwks ${url}`,
        problem: keys.problem(),
        wasTried: keys.wasTried(),
      })),
    update(next) {
      const before = issuers
      issuers = activate(next, before)
      reserves = createReservedNames(next.issuers)
      const kept = new Set([...issuers.values()].map(({ keys }) => keys))
      for (const issuer of before.values()) if (!kept.has(issuer.keys)) forget(issuer)
      cache.clear()
    },
    close() {
      for (const { keys } of issuers.values()) keys.close()
      cache.clear()
    },
  }
}

function hasSameKeys(a: Issuer, b: Issuer): boolean {
  return keySourceId(a) === keySourceId(b)
}

/** Equal for issuers whose keys are had in the same way. */
function keySourceId({ discoveryUrl, certificateAuthority, access }: Issuer): string {
  const { keys, proxy, keyLifetime } = access ?? { keyLifetime: KEY_LIFETIME_MS }
  const fingerprints = keys?.usable.map(({ fingerprint }) => fingerprint)
  return JSON.stringify({ discoveryUrl, certificateAuthority, fingerprints, proxy, keyLifetime })
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
    authentication: { user, method: METHOD, annotations, expiresAt, ...tokenIDOf(claims) },
    expiresAt,
    size: payload.byteLength + identitySize(user),
    proof: { issuer: url, payload, fingerprint, user },
  }
}

function tokenIDOf(claims: ReturnType<typeof readClaims>): Pick<Authentication, 'tokenID'> {
  const jti = ownMember(claims, 'jti')
  return typeof jti === 'string' && jti !== '' ? { tokenID: jti } : {}
}

/** What one string takes in addition to its characters, with its place in a list, in bytes. */
const STRING_OVERHEAD = 32

/** Each name is held twice: as it is and as a header. */
function identitySize({ groups, extra }: UserInfo): number {
  const values = [...groups, ...Object.values(extra).flat()]
  return values.reduce((sum, { length }) => sum + 2 * (length + STRING_OVERHEAD), 0)
}

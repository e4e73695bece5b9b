import { isDeepStrictEqual } from 'node:util'

import type { ProxyFor } from '../../config/egress-proxy.ts'
import { causeOf } from '../../http/refusal.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { Authentication, SignInOrigin, UserInfo } from '../authenticator.ts'
import { retryAfter, StatusError } from '../../status.ts'
import { unauthorized } from '../bearer.ts'
import { quote } from '../quote.ts'
import type { SignIn } from '../sign-in.ts'
import { createActiveIssuers, type ActiveIssuer, type StartedGroups } from './active-issuers.ts'
import type { AuthenticationConfiguration, Issuer } from './authentication-config.ts'
import { readClaims, readCompactJws, type UnverifiedToken } from './compact-jws.ts'
import { ownMember, type JsonObject } from './strict-json.ts'
import type { LookedUpGroups } from './claim-mappings.ts'
import { SYSTEM_TIMING, type Timing } from './jwks.ts'
import { readLogoutToken, refuseOtherTokens, type LogoutToken } from './logout-token.ts'
import { checkRegisteredClaims, issuerUrl, issueTime, signInTime } from './registered-claims.ts'
import { createReservedNames, type ReservedNames } from './reserved-names.ts'
import { boundCertificate } from './token-binding.ts'
import { createTokenCache, tokenDigest } from './token-cache.ts'
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
   * Verifies a logout token of a configured issuer. Such a token is not a credential.
   *
   * Rejects with StatusError 401, and with 503 while there are no keys of the issuer.
   *
   * @param clientsOf the client IDs for which an issuer may send logout tokens; empty: it may not
   */
  verifyLogoutToken(
    token: string,
    clientsOf: (issuer: Issuer) => readonly string[],
  ): Promise<LogoutToken>
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
  readonly metrics: Pick<Metrics, 'issuerKeysFetched' | 'issuerCachedKeyUses' | 'groupLookups'>
}

const METHOD = 'oidc'

/** The annotation with the URL of the issuer whose token it was. */
export const ISSUER_ANNOTATION = 'authentication.gatehouse/issuer'

/** What a recheck needs; of the token, only what identifies the user. */
interface Proof extends VerifiedPayload {
  readonly issuer: string
  readonly user: UserInfo
  /** Undefined: none were looked up. */
  readonly lookedUp: LookedUpGroups | undefined
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
  const issuers = createActiveIssuers(
    { timing, proxyFor },
    { log, metrics, onKeyDropped, onGroupsChanged: onRevoked },
  )
  let reserves: ReservedNames = () => undefined

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
    const claims = readClaims(verified.payload)
    refuseOtherTokens(unverified, claims)
    const expiresAt = checkValidity(claims, issuer.configuration, timing.clock())
    const lookedUp = await issuer.groups?.find(claims, issuer.configuration.claimMappings.groups)
    if (cache.generation !== generation) return verify(token, digest)
    const judged = judgeClaims(verified, claims, issuer.configuration, lookedUp?.groups)
    const authentication = { ...judged.authentication, expiresAt }
    proofs.set(authentication.annotations, judged.proof)
    const until = Math.min(expiresAt, lookedUp?.until ?? Infinity)
    cache.set(digest, { authentication, expiresAt: until, size: judged.size }, generation)
    return authentication
  }

  function recheck(proof: Proof): string | undefined {
    const issuer = issuers.get(proof.issuer)
    if (issuer === undefined) return 'the issuer of the token is no longer configured'
    if (!issuer.keys.current().some(({ fingerprint }) => fingerprint === proof.fingerprint)) {
      return "the key that verified the token is no longer known as its issuer's"
    }
    try {
      const claims = readClaims(proof.payload)
      const isKnown = proof.lookedUp !== undefined && proof.lookedUp !== 'unknown'
      const last = isKnown ? issuer.groups?.last(claims) : undefined
      if (last === 'removed') return 'the source of groups no longer has the user'
      const user = userOf(claims, issuer.configuration, last ?? proof.lookedUp)
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
    async verifyLogoutToken(token, clientsOf) {
      const unverified = readCompactJws(token)
      const { configuration, keys } = issuerOf(unverified)
      const clientIDs = clientsOf(configuration)
      if (clientIDs.length === 0) {
        throw unauthorized(`logout tokens of ${quote(configuration.url)} are not accepted`)
      }
      const { payload } = await verifySignature(token, unverified, keys).catch((error: unknown) => {
        // It may be valid: what it ends must not be lost silently.
        throw keys.problem() === undefined ? error : withoutKeys(error)
      })
      const expected = { issuer: configuration.url, clientIDs, now: timing.clock() }
      return readLogoutToken(unverified, payload, expected)
    },
    reserves: (user) => reserves(user),
    readiness: () =>
      issuers.all().flatMap(({ configuration: { url }, keys, groups }) => [
        {
          name: `jwks ${url}`,
          problem: keys.problem(),
          wasTried: keys.wasTried(),
          way: url,
        },
        ...(groups?.health === undefined
          ? []
          : [
              {
                name: `groups ${url}`,
                problem: groups.health.problem,
                wasTried: groups.health.wasTried,
                way: isNeeded(groups) ? url : undefined,
              },
            ]),
      ]),
    update(next) {
      issuers.update(next)
      reserves = createReservedNames(next.issuers)
      cache.clear()
    },
    close() {
      issuers.close()
      cache.clear()
    },
  }
}

const RETRY_SECONDS = 5

function withoutKeys(cause: unknown): StatusError {
  return new StatusError('ServiceUnavailable', 'the keys of the issuer are not available', {
    cause,
    ...retryAfter(RETRY_SECONDS),
  })
}

/** Whether nobody of the issuer can sign in if the check of the source has a problem. */
function isNeeded({ isRequired, health }: StartedGroups): boolean {
  // Until it was tried, after a reload, nothing speaks against it.
  return isRequired && health?.wasTried === true && !health.isPartial
}

/** When the token expires. @throws StatusError 401 */
function checkValidity(claims: JsonObject, { url, audiences }: Issuer, now: number): number {
  return checkRegisteredClaims(claims, { issuer: url, audiences, now })
}

function judgeClaims(
  { payload, fingerprint }: VerifiedPayload,
  claims: JsonObject,
  issuer: Issuer,
  lookedUp: LookedUpGroups | undefined,
): { readonly authentication: Authentication; readonly size: number; readonly proof: Proof } {
  const { url } = issuer
  const user = userOf(claims, issuer, lookedUp)
  const boundTo = boundCertificate(claims)
  const signedInAt = signInTime(claims)
  const authentication: Authentication = {
    user,
    method: METHOD,
    annotations: { [ISSUER_ANNOTATION]: url },
    ...tokenIDOf(claims),
    origin: originOf(claims, url),
    ...(boundTo === undefined ? {} : { boundTo }),
    ...(signedInAt === undefined ? {} : { signedInAt }),
  }
  return {
    authentication,
    size: payload.byteLength + identitySize(user),
    proof: { issuer: url, payload, fingerprint, user, lookedUp },
  }
}

function originOf(claims: JsonObject, issuer: string): SignInOrigin {
  const issuedAt = issueTime(claims)
  return {
    issuer,
    subject: textOf(claims, 'sub'),
    session: textOf(claims, 'sid'),
    issuedAt,
    credentialIssuedAt: issuedAt ?? 0,
  }
}

function textOf(claims: JsonObject, name: string): string | undefined {
  const value = ownMember(claims, name)
  return typeof value === 'string' && value !== '' ? value : undefined
}

function tokenIDOf(claims: JsonObject): Pick<Authentication, 'tokenID'> {
  const tokenID = textOf(claims, 'jti')
  return tokenID === undefined ? {} : { tokenID }
}

/** What one string takes in addition to its characters, with its place in a list, in bytes. */
const STRING_OVERHEAD = 32

/** Each name is held twice: as it is and as a header. */
function identitySize({ groups, extra }: UserInfo): number {
  const values = [...groups, ...Object.values(extra).flat()]
  return values.reduce((sum, { length }) => sum + 2 * (length + STRING_OVERHEAD), 0)
}

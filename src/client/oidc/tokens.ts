import type { webcrypto } from 'node:crypto'

import * as openid from 'openid-client'

import { ClientFailure } from '../failure.ts'
import type { Secrets, Session } from '../session/session.ts'
import { wrongClock } from './issuer-failure.ts'
import type { IssuerOptions } from './issuer.ts'

/** A token is renewed before it expires: by a tenth of its lifetime, at most a minute. */
const MAX_MARGIN_MS = 60_000
/** Beyond this, tokens would be renewed at wrong times. */
const MAX_SKEW_MS = 5 * 60_000

type TokenResponse = openid.TokenEndpointResponse & openid.TokenEndpointResponseHelpers

/** The key to which an issuer binds refresh tokens, where it can (RFC 9449 section 5). */
export interface BoundKey {
  readonly handle: openid.DPoPHandle
  readonly jwk: webcrypto.JsonWebKey
}

const DPOP_ALGORITHM = 'ES256'
const DPOP_KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const

/** A new key, or undefined when the issuer does not support it. */
export async function newBoundKey(
  configuration: openid.Configuration,
): Promise<BoundKey | undefined> {
  const { dpop_signing_alg_values_supported: supported } = configuration.serverMetadata()
  if (supported?.includes(DPOP_ALGORITHM) !== true) return undefined
  const pair = await openid.randomDPoPKeyPair(DPOP_ALGORITHM, { extractable: true })
  const jwk = await crypto.subtle.exportKey('jwk', pair.privateKey)
  return { handle: openid.getDPoPHandle(configuration, pair), jwk }
}

/** The key of an earlier sign-in. */
export async function storedBoundKey(
  configuration: openid.Configuration,
  jwk: webcrypto.JsonWebKey,
): Promise<BoundKey> {
  const { kty, crv, x, y } = jwk
  const publicJwk = { kty, crv, x, y } as webcrypto.JsonWebKey
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey('jwk', jwk, DPOP_KEY, false, ['sign']),
    crypto.subtle.importKey('jwk', publicJwk, DPOP_KEY, true, ['verify']),
  ])
  return { handle: openid.getDPoPHandle(configuration, { privateKey, publicKey }), jwk }
}

export interface SessionSource {
  readonly issuer: IssuerOptions
  readonly scopes: readonly string[]
  readonly key: BoundKey | undefined
  /** The refresh token that was used; a response without one keeps it. */
  readonly refreshToken?: string
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * The session that a token response begins or continues. openid-client has verified the ID token.
 *
 * @throws ClientFailure without an ID token, or when the clock of this machine is wrong
 */
export function sessionFrom(response: TokenResponse, source: SessionSource): Session {
  const { issuer, scopes, key, now } = source
  const { id_token: idToken, refresh_token: refreshToken = source.refreshToken } = response
  const claims = response.claims()
  if (idToken === undefined || claims === undefined) {
    const message = `${issuer.issuer} did not issue an ID token: ask your Gatehouse administrator`
    throw new ClientFailure('unavailable', message)
  }
  const [expiresAt, issuedAt] = [claims.exp * 1_000, claims.iat * 1_000]
  if (!isDate(expiresAt) || !isDate(issuedAt)) {
    const message = `the times in the token of ${issuer.issuer} are out of range: ask your Gatehouse administrator`
    throw new ClientFailure('unavailable', message)
  }
  if (issuedAt - now > MAX_SKEW_MS) throw wrongClock(issuer.issuer)
  const secrets: Secrets = {
    idToken,
    ...(refreshToken === undefined ? {} : { refreshToken }),
    ...(key === undefined ? {} : { dpopKey: key.jwk }),
  }
  return {
    facts: {
      issuer: issuer.issuer,
      clientID: issuer.clientID,
      ...(issuer.clientSecret === '' ? {} : { clientSecret: issuer.clientSecret }),
      scopes,
      subject: claims.sub,
      renewAt: expiresAt - Math.min(MAX_MARGIN_MS, (expiresAt - issuedAt) / 10),
      expiresAt,
      discoveryURL: issuer.discoveryURL,
      issuerCA: issuer.certificateAuthority,
    },
    secrets,
  }
}

/** Whether a time in milliseconds is one that a Date can have (ECMA-262, time range). */
function isDate(milliseconds: number): boolean {
  return Math.abs(milliseconds) <= 8.64e15
}

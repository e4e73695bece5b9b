import type { webcrypto } from 'node:crypto'

import * as openid from 'openid-client'

import { ClientFailure } from '../failure.ts'
import { thumbprintOf } from '../certificate/binding-certificate.ts'
import type { CertificatePair, Secrets, Session, SessionFacts } from '../session/session.ts'
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
  /** Who the user is, for a response that does not say so. */
  readonly subject?: string
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * The session that a token response begins or continues. openid-client has verified the ID token.
 *
 * @throws ClientFailure without a token that can be used, or when the clock of this machine is wrong
 */
export function sessionFrom(response: TokenResponse, source: SessionSource): Session {
  const { issuer, scopes, key, now } = source
  const { refresh_token: refreshToken = source.refreshToken } = response
  const { certificate: boundTo } = issuer
  const { token, exp, iat } =
    boundTo === undefined ? idTokenOf(response, issuer) : boundTokenOf(response, issuer, boundTo)
  const subject = response.claims()?.sub ?? source.subject
  if (subject === undefined) throw noIDToken(issuer)
  const secrets: Secrets = {
    token,
    ...(boundTo === undefined ? {} : { boundTo }),
    ...(refreshToken === undefined ? {} : { refreshToken }),
    ...(key === undefined ? {} : { dpopKey: key.jwk }),
  }
  return {
    facts: {
      issuer: issuer.issuer,
      clientID: issuer.clientID,
      ...(issuer.clientSecret === '' ? {} : { clientSecret: issuer.clientSecret }),
      scopes,
      subject,
      ...timesOf({ exp, iat: iat ?? now / 1_000 }, issuer, now),
      discoveryURL: issuer.discoveryURL,
      issuerCA: issuer.certificateAuthority,
    },
    secrets,
  }
}

/** @throws ClientFailure when the clock of this machine is wrong, or no clock can be right */
function timesOf(
  { exp, iat }: { readonly exp: number; readonly iat: number },
  { issuer }: IssuerOptions,
  now: number,
): Pick<SessionFacts, 'renewAt' | 'expiresAt'> {
  const [expiresAt, issuedAt] = [exp * 1_000, iat * 1_000]
  if (!isDate(expiresAt) || !isDate(issuedAt)) {
    const message = `the times in the token of ${issuer} are out of range: ask your Gatehouse administrator`
    throw new ClientFailure('unavailable', message)
  }
  if (issuedAt - now > MAX_SKEW_MS) throw wrongClock(issuer)
  return {
    renewAt: expiresAt - Math.min(MAX_MARGIN_MS, (expiresAt - issuedAt) / 10),
    expiresAt,
  }
}

interface Token {
  readonly token: string
  /** Seconds since the epoch, as is `iat`. */
  readonly exp: number
  readonly iat: number | undefined
}

/** @throws ClientFailure without an ID token */
function idTokenOf(response: TokenResponse, issuer: IssuerOptions): Token {
  const { id_token: token } = response
  const claims = response.claims()
  if (token === undefined || claims === undefined) throw noIDToken(issuer)
  return { token, exp: claims.exp, iat: claims.iat }
}

function noIDToken({ issuer }: IssuerOptions): ClientFailure {
  const message = `${issuer} did not issue an ID token: ask your Gatehouse administrator`
  return new ClientFailure('unavailable', message)
}

/**
 * The access token of a response: issuers bind only these (RFC 8705 section 3). It comes from the issuer over
 * TLS, and Gatehouse verifies its signature.
 *
 * @throws ClientFailure unless it is a JWT that is bound to the certificate: as good as a password otherwise
 */
function boundTokenOf(
  { access_token: token }: TokenResponse,
  { issuer }: IssuerOptions,
  certificate: CertificatePair,
): Token {
  const { exp, iat, cnf } = claimsOf(token) ?? {}
  if (typeof exp !== 'number') {
    const message = `the access token of ${issuer} is not a JWT that expires: ask your Gatehouse administrator`
    throw new ClientFailure('unavailable', message)
  }
  const { 'x5t#S256': thumbprint } = objectOf(cnf)
  if (thumbprint !== thumbprintOf(certificate)) {
    throw new ClientFailure(
      'unavailable',
      `${issuer} did not bind the access token to the client certificate (cnf.x5t#S256): ask your Gatehouse administrator`,
    )
  }
  return { token, exp, iat: typeof iat === 'number' ? iat : undefined }
}

function claimsOf(token: string): Readonly<Record<string, unknown>> | undefined {
  const [, payload = '', ...rest] = token.split('.')
  try {
    return rest.length === 1
      ? objectOf(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')))
      : undefined
  } catch {
    return undefined
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** Whether a time in milliseconds is one that a Date can have (ECMA-262, time range). */
function isDate(milliseconds: number): boolean {
  return Math.abs(milliseconds) <= 8.64e15
}

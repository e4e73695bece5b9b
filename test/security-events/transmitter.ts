/** A transmitter of security events (Shared Signals Framework 1.0), made of `jose`. */
import { SignJWT } from 'jose'

import type { SigningKey } from '../authentication/oidc/issuer.ts'

export const EVENTS = {
  sessionRevoked: 'https://schemas.openid.net/secevent/caep/event-type/session-revoked',
  credentialChange: 'https://schemas.openid.net/secevent/caep/event-type/credential-change',
  deviceComplianceChange:
    'https://schemas.openid.net/secevent/caep/event-type/device-compliance-change',
  accountDisabled: 'https://schemas.openid.net/secevent/risc/event-type/account-disabled',
  accountEnabled: 'https://schemas.openid.net/secevent/risc/event-type/account-enabled',
  verification: 'https://schemas.openid.net/secevent/ssf/event-type/verification',
} as const

export const AUDIENCE = 'https://gatehouse.example.com'

export type Claims = Readonly<Record<string, unknown>>

export interface EventOptions {
  readonly event?: string
  readonly payload?: unknown
  readonly subject?: unknown
  /** They replace those that the token has anyway; undefined ones are left out. */
  readonly claims?: Claims
  readonly header?: Claims
}

/** The claims of a token; by default all sessions of ada have ended. */
export function eventClaims(transmitter: string, options: EventOptions = {}): Claims {
  const { event = EVENTS.sessionRevoked, payload = {}, subject, claims } = options
  return {
    iss: transmitter,
    aud: AUDIENCE,
    jti: crypto.randomUUID(),
    iat: Math.floor(Date.now() / 1_000),
    sub_id: subject,
    events: { [event]: payload },
    ...claims,
  }
}

/** Signs a security event token. */
export function signEvent(
  transmitter: string,
  key: SigningKey,
  options: EventOptions = {},
): Promise<string> {
  return new SignJWT({ ...eventClaims(transmitter, options) })
    .setProtectedHeader({
      ...{ alg: key.algorithm, kid: key.kid, typ: 'secevent+jwt' },
      ...options.header,
    })
    .sign(key.privateKey)
}

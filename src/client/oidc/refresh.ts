import * as openid from 'openid-client'

import { ClientFailure } from '../failure.ts'
import { boundCertificate } from '../session/bound-certificate.ts'
import type { CertificateFiles, Session } from '../session/session.ts'
import { issuerFailure } from './issuer-failure.ts'
import { openIssuer, type IssuerOptions } from './issuer.ts'
import { sessionFrom, storedBoundKey } from './tokens.ts'

/** The issuer of a session. @throws ClientFailure when the certificate of the user is gone */
function issuerOf(session: Session): IssuerOptions {
  const { facts } = session
  return {
    issuer: facts.issuer,
    discoveryURL: facts.discoveryURL,
    certificateAuthority: facts.issuerCA,
    clientID: facts.clientID,
    clientSecret: facts.clientSecret ?? '',
    certificate: boundCertificate(session),
  }
}

/**
 * Renews the token of a session.
 *
 * @returns undefined when a new sign-in is needed: there is no refresh token, or the issuer does not
 * accept it any more
 * @throws ClientFailure when the issuer cannot be asked
 */
export async function refreshSession(session: Session): Promise<Session | undefined> {
  const { facts, secrets } = session
  const { refreshToken, dpopKey } = secrets
  if (refreshToken === undefined) return undefined
  const issuer = issuerOf(session)
  const { configuration, close } = await openIssuer(issuer)
  try {
    const key = dpopKey === undefined ? undefined : await storedBoundKey(configuration, dpopKey)
    const options = key === undefined ? {} : { DPoP: key.handle }
    const response = await openid.refreshTokenGrant(configuration, refreshToken, {}, options)
    // An issuer may renew only the access token, which Gatehouse takes only if it is bound.
    if (response.id_token === undefined && issuer.certificate === undefined) return undefined
    const { scopes, subject } = facts
    const renewed = sessionFrom(response, {
      ...{ issuer, scopes, key, refreshToken, subject, now: Date.now() },
    })
    const next = withCertificateFiles(renewed, facts.certificateFiles)
    // OpenID Connect Core section 12.2.
    if (next.facts.subject !== facts.subject) {
      throw new ClientFailure('untrusted', `${facts.issuer} renewed the token for another account`)
    }
    return next
  } catch (error) {
    if (error instanceof openid.ResponseBodyError && error.error === 'invalid_grant') {
      return undefined
    }
    throw issuerFailure(facts.issuer, error)
  } finally {
    await close()
  }
}

/** The key of the user's own certificate stays in its file. */
export function withCertificateFiles(
  { facts, secrets }: Session,
  certificateFiles: CertificateFiles | undefined,
): Session {
  const { boundTo } = secrets
  if (certificateFiles === undefined || boundTo === undefined) return { facts, secrets }
  return {
    facts: { ...facts, certificateFiles },
    secrets: { ...secrets, boundTo: { certificate: boundTo.certificate, key: '' } },
  }
}

/**
 * Ends a session at the issuer (RFC 7009).
 *
 * @returns false when the issuer offers no revocation
 * @throws ClientFailure when the issuer cannot be asked, or refuses
 */
export async function revokeSession(session: Session): Promise<boolean> {
  const { refreshToken } = session.secrets
  if (refreshToken === undefined) return false
  const { configuration, close } = await openIssuer(issuerOf(session))
  try {
    if (configuration.serverMetadata().revocation_endpoint === undefined) return false
    await openid.tokenRevocation(configuration, refreshToken, { token_type_hint: 'refresh_token' })
    return true
  } catch (error) {
    throw issuerFailure(session.facts.issuer, error)
  } finally {
    await close()
  }
}

import type { Credential } from '../exec/exec-credential.ts'
import { boundCertificate, hasBoundCertificate } from './bound-certificate.ts'
import type { Session } from './session.ts'

/** Whether the token, or the certificate, of a session need not be renewed yet. */
export function isFresh(session: Session, certificate: boolean): boolean {
  return (
    renewalOf(session, certificate) > Date.now() && (certificate || hasBoundCertificate(session))
  )
}

/** Whether it can still be used, though it should be renewed. */
export function isUsable(session: Session, certificate: boolean): boolean {
  const { facts } = session
  const expiresAt = certificate ? (facts.certificateExpiresAt ?? 0) : facts.expiresAt
  return expiresAt > Date.now() && (certificate || hasBoundCertificate(session))
}

/**
 * What the client sends, and when it asks again, in milliseconds since the epoch.
 *
 * @throws ClientFailure when the certificate that the token is bound to is gone
 */
export function credentialOf(
  session: Session,
  certificate: boolean,
): { readonly credential: Credential; readonly renewAt: number } {
  const { secrets } = session
  // A request with both is refused, unless the token is bound to the certificate.
  const credential =
    certificate && secrets.certificate !== undefined
      ? { certificate: secrets.certificate }
      : { token: secrets.token, ...boundTo(session) }
  const { certificateExpiresAt = 0 } = session.facts
  const renewAt = renewalOf(session, certificate)
  // One that could not be renewed is used to its end.
  const isLate = certificate && renewAt <= Date.now()
  return { credential, renewAt: isLate ? certificateExpiresAt : renewAt }
}

function boundTo(session: Session): Pick<Credential, 'certificate'> {
  const certificate = boundCertificate(session)
  return certificate === undefined ? {} : { certificate }
}

function renewalOf({ facts }: Session, certificate: boolean): number {
  return certificate ? (facts.certificateRenewAt ?? 0) : facts.renewAt
}

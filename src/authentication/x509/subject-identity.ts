/** How the subject of a certificate names a user (apiserver/pkg/authentication/request/x509). */
import type { PeerCertificate } from '../../http/exchange.ts'
import type { Authentication, UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import type { CertificateDescription } from './describe-certificate.ts'

export const X509_METHOD = 'x509'

/** The attribute of the subject that has the UID, as in kube-apiserver. */
export const UID_ATTRIBUTE = '1.3.6.1.4.1.57683.2'

/**
 * The identity in the subject of a certificate.
 *
 * @throws StatusError 401 when there is none, or more than one
 */
export function subjectIdentity(certificate: CertificateDescription): Authentication {
  const { subject } = certificate
  const names = attributeValues(subject, 'CN')
  // Go takes the last CN of a subject that has several. Other readers may not, so it is rejected.
  const [username] = names
  if (names.length !== 1 || username === undefined || username === '') {
    throw unauthorized('client certificate: its subject must have exactly one common name')
  }
  const uids = attributeValues(subject, UID_ATTRIBUTE)
  const uid = uids[0] ?? ''
  if (uids.length > 1 || (uids.length === 1 && uid === '')) {
    throw unauthorized('client certificate: its subject has more than one UID, or an empty one')
  }
  const groups = [...new Set(attributeValues(subject, 'O'))]
  return { ...originOf(certificate), user: { username, uid, groups, extra: extraOf(certificate) } }
}

/** What an authentication by this certificate has, whomever it names. */
export function originOf({
  sha256,
  serialNumber,
  notAfter,
}: CertificateDescription): Omit<Authentication, 'user'> {
  return {
    method: X509_METHOD,
    annotations: {
      'authentication.gatehouse/certificate-sha256': sha256,
      'authentication.gatehouse/certificate-serial': serialNumber,
    },
    expiresAt: notAfter,
  }
}

/** Names the certificate, as in kube-apiserver. */
export function extraOf({ sha256 }: CertificateDescription): UserInfo['extra'] {
  return { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${sha256}`] }
}

/** All values of an attribute. */
export function attributeValues(
  subject: PeerCertificate['subject'],
  name: string,
): readonly string[] {
  const value = Object.hasOwn(subject, name) ? subject[name] : undefined
  if (value === undefined) return []
  return typeof value === 'string' ? [value] : value
}

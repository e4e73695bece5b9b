/**
 * Client certificates (apiserver/pkg/authentication/request/x509): CN is the user, every O a group,
 * the attribute 1.3.6.1.4.1.57683.2 the UID. TLS has verified the chain; here the verdict is read,
 * and everything that can have changed since the handshake is judged again for every request.
 */
import type { PeerCertificate } from '../../http/exchange.ts'
import type { Authentication, Credentials } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { describeVerifyError, timeProblem } from './verify-errors.ts'

const UID_ATTRIBUTE = '1.3.6.1.4.1.57683.2'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0'

export interface X509Options {
  /** The loading of client CA and CRL that is in force; a verdict of another is void. */
  readonly generation: () => number
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

/** The function made throws StatusError 401 when there is no certificate, or one that is no good. */
export function createX509Authenticator({
  generation,
  now = Date.now,
}: X509Options): (credentials: Credentials) => Authentication {
  // One object for one certificate, so that what is derived from it is derived once.
  const known = new WeakMap<PeerCertificate, Authentication>()

  return ({ connection }) => {
    const certificate = connection.peerCertificate
    if (certificate === undefined) throw unauthorized('no client certificate')
    checkVerdict(certificate, generation(), now())
    let authentication = known.get(certificate)
    if (authentication === undefined) {
      authentication = identityOf(certificate)
      known.set(certificate, authentication)
    }
    return authentication
  }
}

function checkVerdict(certificate: PeerCertificate, generation: number, now: number): void {
  const { verifyError, extKeyUsage } = certificate
  if (verifyError !== undefined) {
    throw unauthorized(`client certificate: ${describeVerifyError(verifyError, certificate, now)}`)
  }
  // The CA bundle or the CRL has changed since the handshake: the client must shake hands anew.
  if (certificate.generation !== generation) {
    throw unauthorized('client certificate: judged by a CA bundle that is no longer in force')
  }
  if (!(certificate.notBefore <= now && now <= certificate.notAfter)) {
    const problem = timeProblem(certificate.notBefore, certificate.notAfter, now)
    throw unauthorized(`client certificate: ${problem ?? 'its validity is no time'}`)
  }
  // Go's x509.Verify: without the extension every usage is meant; kube-apiserver asks for clientAuth.
  const usages = extKeyUsage ?? [CLIENT_AUTH]
  if (!usages.includes(CLIENT_AUTH) && !usages.includes(ANY_EXTENDED_KEY_USAGE)) {
    throw unauthorized('client certificate: extended key usage clientAuth is missing')
  }
}

function identityOf(certificate: PeerCertificate): Authentication {
  const { subject, sha256 } = certificate
  const names = attribute(subject, 'CN')
  // Go reads the last CN of a subject that has several; two readers may differ, so none is taken.
  const [username] = names
  if (names.length !== 1 || username === undefined || username === '') {
    throw unauthorized('client certificate: its subject needs exactly one common name')
  }
  const uids = attribute(subject, UID_ATTRIBUTE)
  const uid = uids[0] ?? ''
  if (uids.length > 1 || (uids.length === 1 && uid === '')) {
    throw unauthorized('client certificate: its subject has more than one UID, or an empty one')
  }
  return {
    user: {
      username,
      uid,
      groups: [...new Set(attribute(subject, 'O'))],
      extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${sha256}`] },
    },
    method: 'x509',
    annotations: { 'authentication.gatehouse/certificate-sha256': sha256 },
  }
}

function attribute(subject: PeerCertificate['subject'], name: string): readonly string[] {
  const value = Object.hasOwn(subject, name) ? subject[name] : undefined
  if (value === undefined) return []
  return typeof value === 'string' ? [value] : value
}

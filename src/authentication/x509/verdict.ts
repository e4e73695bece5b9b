import type { PeerCertificate } from '../../http/exchange.ts'
import { unauthorized } from '../bearer.ts'
import { describeVerifyError, timeProblem } from './verify-errors.ts'

/** Extended key usages. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0'

/**
 * Checks the verdict of TLS on a certificate, and what may have changed since.
 *
 * @param generation which loading of the CAs is in effect
 * @param now milliseconds since the epoch
 * @throws StatusError 401 when the certificate is not accepted
 */
export function checkVerdict(certificate: PeerCertificate, generation: number, now: number): void {
  const { verifyError, extKeyUsage } = certificate
  if (verifyError !== undefined) {
    throw unauthorized(`client certificate: ${describeVerifyError(verifyError, certificate, now)}`)
  }
  // The CA bundle or the CRL has changed since the handshake: the client needs a new connection.
  if (certificate.generation !== generation) {
    throw unauthorized(
      'client certificate: verified against a CA bundle that is no longer in effect',
    )
  }
  if (!(certificate.notBefore <= now && now <= certificate.notAfter)) {
    const problem = timeProblem(certificate.notBefore, certificate.notAfter, now)
    throw unauthorized(`client certificate: ${problem ?? 'its validity period cannot be parsed'}`)
  }
  if (!(now <= certificate.verdictEndsAt)) {
    throw unauthorized(
      'client certificate: a CA above it, or a revocation list, has expired since the connection was opened',
      { closeConnection: true },
    )
  }
  // kube-apiserver accepts it: a CA without extended key usage may be used for anything.
  if (certificate.isCA) {
    throw unauthorized('client certificate: it is the certificate of a CA, not of a user')
  }
  // Go's x509.Verify: without the extension every usage is allowed; kube-apiserver requires clientAuth.
  const usages = extKeyUsage ?? [CLIENT_AUTH]
  if (!usages.includes(CLIENT_AUTH) && !usages.includes(ANY_EXTENDED_KEY_USAGE)) {
    throw unauthorized('client certificate: extended key usage clientAuth is missing')
  }
}

import { unauthorized } from '../bearer.ts'
import { ownMember, type JsonObject } from './strict-json.ts'

/** The member of `cnf` that names a client certificate (RFC 8705 section 3.1). */
const CERTIFICATE_THUMBPRINT = 'x5t#S256'
const SHA256_BYTES = 32

/**
 * The client certificate that a token is bound to by `cnf` (RFC 7800), as the SHA-256 of its DER in
 * lower-case hex; undefined for a token that is not bound. kube-apiserver ignores `cnf`, so that a bound
 * token that was stolen is as good as any there.
 *
 * @throws StatusError 401 for a token that is bound to anything else, such as a DPoP key (`jkt`, RFC 9449):
 * kubectl cannot prove that it has the key
 */
export function boundCertificate(claims: JsonObject): string | undefined {
  const confirmation = ownMember(claims, 'cnf') ?? undefined
  if (confirmation === undefined) return undefined
  if (typeof confirmation !== 'object' || Array.isArray(confirmation)) {
    throw unauthorized('the claim cnf is not an object')
  }
  const members = confirmation as JsonObject
  if (Object.hasOwn(members, 'jkt')) {
    throw unauthorized(
      'the token is bound to a DPoP key (cnf.jkt), which kubectl cannot prove: have the issuer bind refresh tokens only',
    )
  }
  const names = Object.keys(members)
  if (names.length !== 1 || names[0] !== CERTIFICATE_THUMBPRINT) {
    throw unauthorized(
      `the token is bound to a key (cnf) by another way than ${CERTIFICATE_THUMBPRINT}, the only one that is supported`,
    )
  }
  const thumbprint = ownMember(members, CERTIFICATE_THUMBPRINT)
  const digest = Buffer.from(typeof thumbprint === 'string' ? thumbprint : '', 'base64url')
  // Buffer skips invalid characters; a digest has one spelling.
  if (digest.length !== SHA256_BYTES || digest.toString('base64url') !== thumbprint) {
    throw unauthorized(`cnf.${CERTIFICATE_THUMBPRINT} is not the SHA-256 of a certificate`)
  }
  return digest.toString('hex')
}

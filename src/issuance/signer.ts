import { sign } from 'node:crypto'

import type { IssuingAuthority } from './authority.ts'

/**
 * Signs the DER of a TBSCertificate with the key of the issuing CA.
 *
 * @returns the signature as it stands in a certificate
 * @throws StatusError 503 when there is no signature
 */
export type Sign = (authority: IssuingAuthority, tbs: Uint8Array) => Promise<Uint8Array>

/** Signs with a key that was read from a file. */
export const signWithFile: Sign = async ({ algorithm, privateKey }, tbs) => {
  if (privateKey === undefined) throw new Error('the issuing CA has no private key')
  return sign(algorithm.hash, tbs, privateKey)
}

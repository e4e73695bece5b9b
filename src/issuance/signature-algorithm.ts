import type { KeyObject } from 'node:crypto'

/** How a key of the issuing CA signs. */
export interface SignatureAlgorithm {
  /** The name that the command gets. */
  readonly name: string
  /** Object identifier (RFC 5758, 8017, 8410). */
  readonly id: string
  /** Whether the identifier has NULL parameters (RFC 8017 appendix A.2.4: only RSA). */
  readonly hasNullParameters: boolean
  /** Null: the algorithm includes it. */
  readonly hash: string | null
}

const ECDSA: Readonly<Record<string, SignatureAlgorithm>> = {
  prime256v1: ecdsa('sha256', '1.2.840.10045.4.3.2'),
  secp384r1: ecdsa('sha384', '1.2.840.10045.4.3.3'),
  secp521r1: ecdsa('sha512', '1.2.840.10045.4.3.4'),
}
const RSA: SignatureAlgorithm = {
  name: 'rsa-sha256',
  id: '1.2.840.113549.1.1.11',
  hasNullParameters: true,
  hash: 'sha256',
}
const ED25519: SignatureAlgorithm = {
  name: 'ed25519',
  id: '1.3.101.112',
  hasNullParameters: false,
  hash: null,
}
const MIN_RSA_BITS = 2_048

/** The algorithm of a public key; undefined for a key that must not sign. */
export function signatureAlgorithm(key: KeyObject): SignatureAlgorithm | undefined {
  const { namedCurve = '', modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'ec') {
    return Object.hasOwn(ECDSA, namedCurve) ? ECDSA[namedCurve] : undefined
  }
  if (key.asymmetricKeyType === 'rsa') return modulusLength >= MIN_RSA_BITS ? RSA : undefined
  return key.asymmetricKeyType === 'ed25519' ? ED25519 : undefined
}

function ecdsa(hash: string, id: string): SignatureAlgorithm {
  return { name: `ecdsa-${hash}`, id, hasNullParameters: false, hash }
}

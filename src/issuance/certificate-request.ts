/**
 * Reads certificate requests (PKCS #10, RFC 2986). Only the public key is taken from one: the names and
 * extensions that a client asks for mean nothing.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'

import { derSequence, INTEGER, SEQUENCE, type DerElement } from '../authentication/x509/der.ts'
import { signatureVerifier, type SignatureVerifier } from '../authentication/x509/list-signature.ts'
import { pemBlocks } from '../pem.ts'
import { StatusError } from '../status.ts'

/** A request with an RSA key of 4096 bits and a few names has 2 KB. */
export const MAX_REQUEST_CHARACTERS = 8_192
const LABEL = 'CERTIFICATE REQUEST'
const BIT_STRING = 0x03
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1'])
const MIN_RSA_BITS = 2_048
const MAX_RSA_BITS = 4_096
/** A usual public exponent; an even or a huge one makes every verification wrong, or slow. */
const RSA_EXPONENT = 65_537n

/**
 * The public key of a certificate request, whose signature proves that the client has the private key.
 *
 * @param pem one PEM block
 * @throws StatusError 400 for anything else, and for a key of a type or size that is not allowed
 */
export function publicKeyOfRequest(pem: string): KeyObject {
  if (pem.length > MAX_REQUEST_CHARACTERS) {
    throw invalid(`has more than ${MAX_REQUEST_CHARACTERS} characters`)
  }
  const blocks = pemBlocks(pem)
  const [block] = blocks
  if (block === undefined || blocks.length > 1 || block.label !== LABEL) {
    throw invalid(`is not one PEM block of the type ${LABEL}`)
  }
  const { key, isSignedBy } = parse(block.der)
  const problem = keyProblem(key)
  if (problem !== undefined) throw invalid(problem)
  if (!isSignedBy(key)) {
    throw invalid('is not signed with its own key, by SHA-256 or better')
  }
  return key
}

interface ParsedRequest {
  readonly key: KeyObject
  readonly isSignedBy: SignatureVerifier
}

function parse(der: Uint8Array): ParsedRequest {
  try {
    return readRequest(der)
  } catch {
    throw invalid('cannot be parsed')
  }
}

/**
 * `CertificationRequest`: info (version, subject, subjectPKInfo, [0] attributes), algorithm, signature.
 *
 * @throws Error for anything else
 */
function readRequest(der: Uint8Array): ParsedRequest {
  const [signed, algorithm, signature] = elements(derSequence(der), [
    SEQUENCE,
    SEQUENCE,
    BIT_STRING,
  ])
  if (derSequence(der).length !== 3 || signature.content[0] !== 0) {
    throw new RangeError('not the three fields of a request')
  }
  const fields = derSequence(signed.encoded)
  const [, , spki] = elements(fields, [INTEGER, SEQUENCE, SEQUENCE])
  const key = createPublicKey({ key: Buffer.from(spki.encoded), format: 'der', type: 'spki' })
  return { key, isSignedBy: signatureVerifier({ signed, algorithm, signature }) }
}

type Three<T> = readonly [T, T, T]

/** The first three elements. @throws RangeError unless they have these tags */
function elements(found: readonly DerElement[], tags: Three<number>): Three<DerElement> {
  const [first, second, third] = found
  if (first?.tag !== tags[0] || second?.tag !== tags[1] || third?.tag !== tags[2]) {
    throw new RangeError('not the fields of a request')
  }
  return [first, second, third]
}

function keyProblem({
  asymmetricKeyType,
  asymmetricKeyDetails = {},
}: KeyObject): string | undefined {
  const { namedCurve = '', modulusLength = 0, publicExponent } = asymmetricKeyDetails
  const isAllowed =
    asymmetricKeyType === 'ed25519' ||
    (asymmetricKeyType === 'ec' && CURVES.has(namedCurve)) ||
    (asymmetricKeyType === 'rsa' &&
      modulusLength >= MIN_RSA_BITS &&
      modulusLength <= MAX_RSA_BITS &&
      publicExponent === RSA_EXPONENT)
  return isAllowed
    ? undefined
    : 'has a key that is not allowed: use ECDSA with P-256 or P-384, Ed25519, or RSA with 2048 to 4096 bits'
}

function invalid(problem: string): StatusError {
  return new StatusError('BadRequest', `the certificate request ${problem}`)
}

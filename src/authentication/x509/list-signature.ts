/** Verifies the signature of a revocation list (RFC 5280 section 5.1.1), which `node:crypto` cannot parse. */
import { constants, verify, type KeyObject, type VerifyKeyObjectInput } from 'node:crypto'

import { derElements, derSequence, hexOf, type DerElement } from './der.ts'

/** Whether this key made the signature. Results are kept, since a list may have megabytes. */
export type SignatureVerifier = (key: KeyObject) => boolean

interface Algorithm {
  /** Type of the key (`KeyObject.asymmetricKeyType`). */
  readonly keyType: 'rsa' | 'ec' | 'ed25519' | 'ed448'
  /** Null: the algorithm includes it. */
  readonly hash: string | null
  readonly padding?: number
}

/** By hex of the DER content of the object identifier (RFC 8017, 5758, 8410). SHA-1 is not accepted. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['2a864886f70d01010b', { keyType: 'rsa', hash: 'sha256' }],
  ['2a864886f70d01010c', { keyType: 'rsa', hash: 'sha384' }],
  ['2a864886f70d01010d', { keyType: 'rsa', hash: 'sha512' }],
  ['2a8648ce3d040302', { keyType: 'ec', hash: 'sha256' }],
  ['2a8648ce3d040303', { keyType: 'ec', hash: 'sha384' }],
  ['2a8648ce3d040304', { keyType: 'ec', hash: 'sha512' }],
  ['2b6570', { keyType: 'ed25519', hash: null }],
  ['2b6571', { keyType: 'ed448', hash: null }],
])

const RSA_PSS = '2a864886f70d01010a'
const HASHES: ReadonlyMap<string, string> = new Map([
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
])

/** Makes the verifier of one list; false for every key if the algorithm is not supported. */
export function signatureVerifier(list: {
  readonly signed: DerElement
  readonly algorithm: DerElement
  readonly signature: DerElement
}): SignatureVerifier {
  const algorithm = algorithmOf(list.algorithm)
  // Without the tag's first octet, the number of unused bits, which is 0.
  const signature = list.signature.content.subarray(1)
  const known = new Map<string, boolean>()

  function isSignature(key: KeyObject): boolean {
    if (algorithm === undefined || key.asymmetricKeyType !== algorithm.keyType) return false
    const { hash, padding } = algorithm
    const input: VerifyKeyObjectInput = padding === undefined ? { key } : { key, padding }
    try {
      return verify(hash, list.signed.encoded, input, signature)
    } catch {
      return false
    }
  }

  return (key) => {
    const id = key.export({ type: 'spki', format: 'der' }).toString('latin1')
    let result = known.get(id)
    if (result === undefined) known.set(id, (result = isSignature(key)))
    return result
  }
}

function algorithmOf({ encoded }: DerElement): Algorithm | undefined {
  const [id, parameters] = derSequence(encoded)
  if (id === undefined) return undefined
  if (hexOf(id.content) !== RSA_PSS) return ALGORITHMS.get(hexOf(id.content))
  // `[0]` names the hash; without it, it is SHA-1.
  const [first] = parameters === undefined ? [] : derElements(parameters.content)
  const [hashId] = first?.tag === 0xa0 ? derSequence(first.content) : []
  const hash = hashId === undefined ? undefined : HASHES.get(hexOf(hashId.content))
  if (hash === undefined) return undefined
  return { keyType: 'rsa', hash, padding: constants.RSA_PKCS1_PSS_PADDING }
}

import { createHash, createPublicKey, type KeyObject } from 'node:crypto'

import { z } from 'zod'

import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from './compact-jws.ts'
import { isJsonObject, ownMember } from './strict-json.ts'

/** A public key of an issuer for verifying signatures. */
export interface VerificationKey {
  readonly kid: string | undefined
  readonly algorithms: readonly SignatureAlgorithm[]
  readonly key: KeyObject
  /** Equal for equal keys with the same `kid` and algorithms. */
  readonly fingerprint: string
}

export type KeySet = readonly VerificationKey[]

/** A key that may be meant for signing tokens but is not usable. */
export interface SkippedKey {
  readonly kid: string | undefined
  readonly reason: string
}

/** Keys of one set; issuers publish one to ten. */
const MAX_KEYS = 100

/**
 * RFC 7518 section 3.3 requires 2048 bits or more; the cost of verification grows with the square
 * of the size.
 */
const MIN_RSA_BITS = 2048
const MAX_RSA_BITS = 8192

/**
 * The public exponent must be odd, as in every RSA key, not 1 (anything would be a valid
 * signature), and small, as in practice.
 */
const MIN_EXPONENT = 3n
const MAX_EXPONENT = 2n ** 32n

/** Longest member of a JWK, in characters of base64url: a modulus of 8192 bits. */
const MAX_MEMBER_LENGTH = Math.ceil(MAX_RSA_BITS / 6)

/** RFC 7518 section 3.4: the curve determines the algorithm. */
const CURVE_ALGORITHMS = {
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
} as const

const RSA_ALGORITHMS = SIGNATURE_ALGORITHMS.filter((name) => !name.startsWith('ES'))

const jwkSet = z.looseObject({ keys: z.array(z.unknown()) })

const member = z.string().max(MAX_MEMBER_LENGTH)

/** Many issuers write members that they do not use as null or empty, which Go takes as absent. */
const optional = z
  .string()
  .nullish()
  .transform((value) => (value === null || value === '' ? undefined : value))

const common = {
  kid: optional,
  use: optional,
  key_ops: z
    .array(z.string())
    .nullish()
    .transform((value) => (value === null || value?.length === 0 ? undefined : value)),
  alg: optional,
}

const jwk = z.discriminatedUnion('kty', [
  z.object({ kty: z.literal('RSA'), n: member, e: member, ...common }),
  z.object({
    kty: z.literal('EC'),
    crv: z.enum(['P-256', 'P-384', 'P-521']),
    x: member,
    y: member,
    ...common,
  }),
])

type Jwk = z.infer<typeof jwk>

/**
 * Parses a JWK Set (RFC 7517 section 5). Keys for another use, too weak, too expensive to verify
 * with, symmetric or unsupported are left out, as that section says, and so are duplicates. Only
 * the public part of a key is read. Throws an Error for anything that is not a JWK Set, and for one
 * of more than 100 keys.
 *
 * @param onSkipped called for each unusable key, except those for another use, such as encryption
 */
export function parseKeySet(
  value: unknown,
  onSkipped: (skipped: SkippedKey) => void = () => undefined,
): KeySet {
  const { success, data } = jwkSet.safeParse(value)
  if (!success) throw new Error('the document is not a JWK Set')
  if (data.keys.length > MAX_KEYS) throw new Error(`the JWK Set has more than ${MAX_KEYS} keys`)
  const keys = new Map<string, VerificationKey>()
  for (const item of data.keys) {
    const { success: isJwk, data: parsed } = jwk.safeParse(item)
    if (isJwk && !isForVerification(parsed)) continue
    const key = isJwk ? verificationKey(parsed) : 'it is not a supported RSA or EC key'
    if (typeof key === 'string') onSkipped({ kid: kidOf(item), reason: key })
    else keys.set(key.fingerprint, key)
  }
  return [...keys.values()]
}

/** The `kid` of an unparsed key, cut to 64 characters. */
function kidOf(item: unknown): string | undefined {
  const kid = isJsonObject(item) ? ownMember(item, 'kid') : undefined
  return typeof kid === 'string' ? kid.slice(0, 64) : undefined
}

/**
 * Returns the candidate keys of a token: those with its `kid`, if it has one, that are meant for its
 * algorithm, so that the token cannot choose how a key is used (RFC 8725 section 3.1).
 */
export function keysFor(
  keys: KeySet,
  { kid, algorithm }: { readonly kid: string | undefined; readonly algorithm: SignatureAlgorithm },
): KeySet {
  return keys.filter(
    (key) => (kid === undefined || key.kid === kid) && key.algorithms.includes(algorithm),
  )
}

/** Returns the key, or why it is not usable. */
function verificationKey(item: Jwk): VerificationKey | string {
  const algorithms = algorithmsOf(item)
  if (algorithms.length === 0) return 'its alg is unsupported or does not match its kty and crv'
  const key = importKey(item)
  if (key === undefined) return 'its parameters do not form a valid key'
  const problem = weakness(key)
  if (problem !== undefined) return problem
  const { kid } = item
  return { kid, algorithms, key, fingerprint: fingerprint(kid, algorithms, key) }
}

function algorithmsOf(item: Jwk): readonly SignatureAlgorithm[] {
  const possible = item.kty === 'RSA' ? RSA_ALGORITHMS : [CURVE_ALGORITHMS[item.crv]]
  return item.alg === undefined ? possible : possible.filter((name) => name === item.alg)
}

/** RFC 7517 sections 4.2 and 4.3. */
function isForVerification({ use, key_ops: operations }: Jwk): boolean {
  return (use === undefined || use === 'sig') && (operations?.includes('verify') ?? true)
}

function importKey(item: Jwk): KeyObject | undefined {
  const key =
    item.kty === 'RSA'
      ? { kty: item.kty, n: item.n, e: item.e }
      : { kty: item.kty, crv: item.crv, x: item.x, y: item.y }
  try {
    return createPublicKey({ key, format: 'jwk' })
  } catch {
    return undefined
  }
}

/** Why a key is too weak or too expensive to use; undefined when it is neither. */
function weakness(key: KeyObject): string | undefined {
  if (key.asymmetricKeyType !== 'rsa') return undefined
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) {
    return `its modulus has ${modulusLength} bits; ${MIN_RSA_BITS} to ${MAX_RSA_BITS} are supported`
  }
  const isSafe =
    publicExponent >= MIN_EXPONENT && publicExponent < MAX_EXPONENT && publicExponent % 2n === 1n
  return isSafe ? undefined : 'its public exponent must be odd, at least 3 and below 2^32'
}

function fingerprint(
  kid: string | undefined,
  algorithms: readonly SignatureAlgorithm[],
  key: KeyObject,
): string {
  return createHash('sha256')
    .update(JSON.stringify([kid ?? null, algorithms]))
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64url')
}

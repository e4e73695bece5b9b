import { createHash, createPublicKey, type KeyObject } from 'node:crypto'

import { z } from 'zod'

import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from './compact-jws.ts'

/** A public key that signatures of an issuer may be verified with. */
export interface VerificationKey {
  readonly kid: string | undefined
  readonly algorithms: readonly SignatureAlgorithm[]
  readonly key: KeyObject
  /** Equal for equal keys with equal names and uses. */
  readonly fingerprint: string
}

export type KeySet = readonly VerificationKey[]

/** Issuers publish one to ten; without a bound, a token that names none would try them all. */
const MAX_KEYS = 64

/** RFC 7518 section 3.3: 2048 bits or more. */
const MIN_RSA_BITS = 2048

/** RFC 7518 section 3.4: the curve decides the algorithm. */
const CURVE_ALGORITHMS = {
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
} as const

const RSA_ALGORITHMS = SIGNATURE_ALGORITHMS.filter((name) => !name.startsWith('ES'))

const jwkSet = z.looseObject({ keys: z.array(z.unknown()) })

const common = {
  kid: z.string().optional(),
  use: z.string().optional(),
  key_ops: z.array(z.string()).optional(),
  alg: z.string().optional(),
}

const jwk = z.discriminatedUnion('kty', [
  z.object({ kty: z.literal('RSA'), n: z.string(), e: z.string(), ...common }),
  z.object({
    kty: z.literal('EC'),
    crv: z.enum(['P-256', 'P-384', 'P-521']),
    x: z.string(),
    y: z.string(),
    ...common,
  }),
])

type Jwk = z.infer<typeof jwk>

/**
 * Reads a JWK Set (RFC 7517 section 5). Keys that are for something else, too weak, symmetric or not
 * understood are left out, as that section says; only the public part of a key is taken. Throws an
 * Error for what is no JWK Set, and for one of more than 64 keys.
 */
export function parseKeySet(value: unknown): KeySet {
  const { success, data } = jwkSet.safeParse(value)
  if (!success) throw new Error('not a JWK Set')
  if (data.keys.length > MAX_KEYS) throw new Error(`a JWK Set of more than ${MAX_KEYS} keys`)
  return data.keys.flatMap((item) => {
    const parsed = jwk.safeParse(item)
    const key = parsed.success ? verificationKey(parsed.data) : undefined
    return key === undefined ? [] : [key]
  })
}

/**
 * The keys that may have signed: of this `kid` where the token names one, and made for the
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

function verificationKey(item: Jwk): VerificationKey | undefined {
  const algorithms = algorithmsOf(item)
  if (algorithms.length === 0 || !isForVerification(item)) return undefined
  const key = importKey(item)
  if (key === undefined || !isStrong(key)) return undefined
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

function isStrong(key: KeyObject): boolean {
  if (key.asymmetricKeyType !== 'rsa') return true
  return (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS
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

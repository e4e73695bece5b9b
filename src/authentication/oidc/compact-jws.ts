import { StatusError } from '../../status.ts'
import { MAX_TOKEN_LENGTH, unauthorized } from '../bearer.ts'
import { ownMember, parseJsonObject, type JsonObject } from './strict-json.ts'

/**
 * The asymmetric signature algorithms of RFC 7518 section 3.1, the nine that kube-apiserver allows.
 * With HS256, a public key could be used as the shared secret (RFC 8725 section 2.1).
 */
export const SIGNATURE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
] as const

export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number]

/** The parts of a token that decide how it is verified. None of them is verified yet. */
export interface UnverifiedToken {
  readonly algorithm: SignatureAlgorithm
  /** Undefined when the header does not name a key. */
  readonly kid: string | undefined
  /** The media type (`typ`) in lower case, without `application/`; undefined when the header has none. */
  readonly type: string | undefined
  readonly issuer: string
}

const FEWER_CLAIMS = 'ask your administrator for tokens with fewer groups or claims'

const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/

/**
 * Header parameters that change how the rest is read (RFC 7515 section 4.1.11, RFC 7797, RFC 7516).
 * Null counts as absent, except in `crit`, which RFC 7515 requires to be a list with members.
 */
const REFUSED_PARAMETERS = ['crit', 'b64', 'zip', 'enc'] as const

/**
 * Parses a token in JWS Compact Serialization (RFC 7515 section 7.1) without verifying it. Only the
 * canonical encoding is accepted, so that a token has one spelling. Keys in the header (`jwk`,
 * `jku`, `x5c`, `x5u`) are ignored, and so is `cty`: some issuers write JWT there although the payload
 * is not a nested token, and a payload that is one is not JSON.
 *
 * @throws StatusError 401 for a token that is malformed, too long, or uses an unsupported feature
 */
export function readCompactJws(token: string): UnverifiedToken {
  if (token.length > MAX_TOKEN_LENGTH) {
    const cause = `the token is longer than ${MAX_TOKEN_LENGTH} characters`
    // Other causes are not disclosed. This one says nothing that its bearer does not know.
    throw new StatusError('Unauthorized', `Unauthorized: ${cause}; ${FEWER_CLAIMS}`, {
      cause: new Error(cause),
    })
  }
  const [, header, payload, signature] = COMPACT.exec(token) ?? []
  if (header === undefined || payload === undefined || signature === undefined) {
    throw unauthorized('the token is not a JWS in compact serialization')
  }
  decodeSegment(signature)
  const parameters = parseSegment(header, 'header')
  const issuer = ownMember(parseSegment(payload, 'payload'), 'iss')
  if (typeof issuer !== 'string') throw unauthorized('the token has no issuer (iss)')
  return { ...readHeader(parameters), issuer }
}

/** Parses the claims of a payload whose signature is verified. Throws StatusError 401. */
export function readClaims(payload: Uint8Array): JsonObject {
  return parseBytes(payload, 'payload')
}

function readHeader(parameters: JsonObject): Omit<UnverifiedToken, 'issuer'> {
  for (const name of REFUSED_PARAMETERS) {
    const isAbsent = !Object.hasOwn(parameters, name)
    if (!isAbsent && (parameters[name] !== null || name === 'crit')) {
      throw unauthorized(`the header parameter "${name}" is not supported`)
    }
  }
  const algorithm = SIGNATURE_ALGORITHMS.find((name) => name === ownMember(parameters, 'alg'))
  if (algorithm === undefined) {
    throw unauthorized(`the algorithm (alg) is not one of ${SIGNATURE_ALGORITHMS.join(', ')}`)
  }
  const kid = ownMember(parameters, 'kid') ?? undefined
  if (kid !== undefined && typeof kid !== 'string') {
    throw unauthorized('the key ID (kid) is not a string')
  }
  return { algorithm, kid: kid === '' ? undefined : kid, type: typeOf(parameters) }
}

/** RFC 7515 section 4.1.9. What is not a string is not the type of anything. */
function typeOf(parameters: JsonObject): string | undefined {
  const type = ownMember(parameters, 'typ')
  return typeof type === 'string' ? type.toLowerCase().replace(/^application\//, '') : undefined
}

function parseSegment(segment: string, what: 'header' | 'payload'): JsonObject {
  return parseBytes(decodeSegment(segment), what)
}

function parseBytes(bytes: Uint8Array, what: 'header' | 'payload'): JsonObject {
  try {
    return parseJsonObject(bytes)
  } catch {
    // The parser's message quotes the token, which must not be logged.
    throw unauthorized(`the token's ${what} is not one unambiguous JSON object`)
  }
}

/** Unused low bits of the last character must be zero (RFC 4648 section 3.5). */
function decodeSegment(segment: string): Buffer {
  const bytes = Buffer.from(segment, 'base64url')
  if (bytes.toString('base64url') !== segment) {
    throw unauthorized('a part of the token is not canonical base64url')
  }
  return bytes
}

/**
 * The extension with which Gatehouse writes into a certificate what its subject has no place for: where
 * the user signed in, when, and the extra of the user. Only Gatehouse reads it.
 */
import { readCertificateExtensions } from '../x509/certificate-fields.ts'
import { derElements } from '../x509/der.ts'
import { unauthorized } from '../bearer.ts'
import { isJsonObject, ownMember, parseJsonObject } from '../oidc/strict-json.ts'

/**
 * Made of a random UUID as Microsoft does it, so that it needs no registration, and the DER of it, as hex.
 * (Under 2.25 of X.667, a UUID is one arc of 128 bits, with which Go does not parse the certificate.)
 */
export const SIGN_IN_EXTENSION =
  '1.2.840.113556.1.8000.2554.36653.28428.19726.19543.39486.5971823.8137361'
export const SIGN_IN_EXTENSION_DER =
  '2a864886f71401be40937a829e2d81de0c819a0e81985782b43e82ecbe6f83f0d511'

/** The sign-in that a certificate was issued for. */
export interface IssuedSignIn {
  /** The URL of an issuer, or `ldap:` and the name of a directory. */
  readonly source: string
  /** Milliseconds since the epoch. */
  readonly signedInAt: number
  readonly extra: Readonly<Record<string, readonly string[]>>
  /** Groups that the user is in as well, which only deny rules count. */
  readonly unassertedGroups: readonly string[]
  /** The `jti` of the token, for locks; absent without one. */
  readonly tokenID?: string | undefined
  /** What the token says of the sign-in at its issuer, for revocations; absent without one. */
  readonly token?: IssuedToken | undefined
}

/** As in `SignInOrigin`. */
export interface IssuedToken {
  readonly subject?: string | undefined
  readonly session?: string | undefined
  readonly issuedAt?: number | undefined
}

const UTF8_STRING = 0x0c
const VERSION = 1

/** The text of the extension; its value is this text as a DER UTF8String. */
export function signInText(signIn: IssuedSignIn): string {
  const { source, signedInAt, extra, unassertedGroups, tokenID, token } = signIn
  return JSON.stringify({
    ...{ version: VERSION, source, signedInAt, extra, unassertedGroups, tokenID, token },
  })
}

/**
 * Reads the extension of a certificate that Gatehouse's own CA has signed.
 *
 * @throws StatusError 401 when it has none that this version can read
 */
export function readSignIn(der: Uint8Array): IssuedSignIn {
  try {
    const extensions = readCertificateExtensions(der)
    const own = extensions.filter(({ id }) => id === SIGN_IN_EXTENSION_DER)
    const [element] = own.length === 1 ? derElements(own[0]?.value ?? new Uint8Array()) : []
    if (element?.tag === UTF8_STRING) return parseSignIn(element.content)
  } catch {
    // Said below.
  }
  throw unauthorized(
    'client certificate: its sign-in extension is missing, or of another version of Gatehouse',
  )
}

/** @throws Error for a text that is not one of this version */
function parseSignIn(text: Uint8Array): IssuedSignIn {
  const fields = parseJsonObject(text)
  const [version, source, signedInAt, extra, unassertedGroups, tokenID, token] = [
    ...['version', 'source', 'signedInAt', 'extra', 'unassertedGroups', 'tokenID', 'token'],
  ].map((name) => ownMember(fields, name))
  if (version !== VERSION || typeof source !== 'string' || typeof signedInAt !== 'number') {
    throw new TypeError('a member is missing')
  }
  if (!isJsonObject(extra)) throw new TypeError('extra is not an object')
  if (tokenID !== undefined && typeof tokenID !== 'string') {
    throw new TypeError('tokenID is not a string')
  }
  const entries = Object.entries(extra).map(([key, values]): [string, readonly string[]] => {
    return [key, texts(values)]
  })
  return {
    source,
    signedInAt,
    extra: Object.fromEntries(entries),
    unassertedGroups: texts(unassertedGroups),
    ...(tokenID === undefined ? {} : { tokenID }),
    ...(token === undefined ? {} : { token: parseToken(token) }),
  }
}

function parseToken(token: unknown): IssuedToken {
  if (!isJsonObject(token)) throw new TypeError('token is not an object')
  const [subject, session, issuedAt] = ['subject', 'session', 'issuedAt'].map((name) =>
    ownMember(token, name),
  )
  const isToken =
    (subject === undefined || typeof subject === 'string') &&
    (session === undefined || typeof session === 'string') &&
    (issuedAt === undefined || typeof issuedAt === 'number')
  if (!isToken) throw new TypeError('a member of token has another type')
  return { subject, session, issuedAt }
}

function texts(values: unknown): readonly string[] {
  if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return values
  throw new TypeError('a member is not a list of strings')
}

/** Decides who gets a client certificate for a sign-in, and issues it. */
import { X509Certificate, type KeyObject } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'

import type { Authentication, SignInOrigin, UserInfo } from '../authentication/authenticator.ts'
import { issuedIdentity, SOURCE_ANNOTATION } from '../authentication/issued/issued.ts'
import type { IssuedToken } from '../authentication/issued/sign-in-extension.ts'
import { ISSUER_ANNOTATION } from '../authentication/oidc/oidc.ts'
import { quote } from '../authentication/quote.ts'
import { describeCertificate } from '../authentication/x509/describe-certificate.ts'
import { StatusError } from '../status.ts'
import type { IssuingAuthority } from './authority.ts'
import { LDAP_METHOD } from './directory-sign-in.ts'
import { publicKeyOfRequest } from './certificate-request.ts'
import { makeCertificate, type CertificateContent } from './certificate.ts'
import type { Sign } from './signer.ts'

export interface CertificateIssuerOptions {
  /** Milliseconds that a certificate is valid, at most. */
  readonly maxLifetime: number
  /** Milliseconds after a sign-in in which it is good for certificates. */
  readonly maxSignInAge: number
}

export interface CertificateIssuerEffects {
  /** The CA in effect. */
  readonly authority: () => IssuingAuthority
  readonly sign: Sign
  /** Whether certificates are issued for sign-ins at this source, under the configuration in effect. */
  readonly isSource: (source: string) => boolean
  /**
   * Takes one of the certificates that a user may have.
   *
   * @throws StatusError 429 when there are none left
   */
  readonly admit: (username: string) => void
  /**
   * Resolves when it is known that the API server does not trust the CAs for clients, or when the
   * configuration accepts that nobody can find out.
   *
   * @throws StatusError 503 when it does, or while the check is not possible
   */
  readonly checkAuthority: () => Promise<void>
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export interface CertificateOrder {
  /** The sign-in, as an authentication method and the identity guard have accepted it. */
  readonly authentication: Authentication
  /** A certificate request, PEM; nothing about it has been checked. Or the public key of one that was. */
  readonly request: string | KeyObject
  /** Milliseconds that the client wants, if less than the longest. */
  readonly lifetime?: number | undefined
}

export interface IssuedCertificate {
  readonly pem: string
  /** Upper-case hex, as in the audit events of its use. */
  readonly serial: string
  readonly source: string
  /** Milliseconds since the epoch. */
  readonly notAfter: number
}

export interface CertificateIssuer {
  readonly options: CertificateIssuerOptions
  /**
   * Issues a certificate.
   *
   * @throws StatusError 400 for the request, 401 for a sign-in that is too old (RFC 9470), 403 for one that
   * is not good for a certificate, 429 and 503
   */
  issue(order: CertificateOrder): Promise<IssuedCertificate>
}

/** Clocks of clients may be behind. A certificate is not valid for longer because of it. */
const BACKDATED_MS = 60_000
/** How far the clock of an issuer may be ahead. */
const LEEWAY_MS = 60_000
/** A shorter one would be of no use, and its sign-in is nearly too old. */
const MIN_LIFETIME_MS = 60_000
/** Beyond 10 KiB, a certificate would count as 200 connections (listener/accepted-sockets.ts). */
const MAX_CERTIFICATE_BYTES = 8_192
const ASK = 'ask your Gatehouse administrator'

/** Creates the issuer. */
export function createCertificateIssuer(
  options: CertificateIssuerOptions,
  effects: CertificateIssuerEffects,
): CertificateIssuer {
  const { maxLifetime, maxSignInAge } = options
  const { authority, sign, isSource, admit, checkAuthority, now } = effects

  return {
    options,
    async issue({ authentication, request, lifetime = maxLifetime }) {
      const { user, tokenID, origin } = authentication
      const source = sourceOf(authentication, isSource)
      const unassertedGroups = unassertedGroupsOf(user)
      const signedInAt = signInTimeOf(authentication, maxSignInAge, now())
      admit(user.username)
      const publicKey = typeof request === 'string' ? publicKeyOfRequest(request) : request
      await checkAuthority()
      const current = authority()
      const issuedAt = now()
      const notAfter = Math.min(
        issuedAt + Math.max(MIN_LIFETIME_MS, Math.min(lifetime, maxLifetime)),
        signedInAt + maxSignInAge,
        current.certificate.validToDate.getTime(),
      )
      if (notAfter <= issuedAt) throw failed('the issuing CA has expired')
      const content = {
        user,
        publicKey,
        notBefore: wholeSeconds(issuedAt - BACKDATED_MS),
        notAfter: wholeSeconds(notAfter),
        signIn: {
          ...{ source, signedInAt, extra: extraOf(user), unassertedGroups, tokenID },
          token: origin === undefined ? undefined : tokenOf(origin),
        },
      }
      const der = await makeCertificate(current, content, sign)
      if (der.length > MAX_CERTIFICATE_BYTES) {
        throw refused(
          `a certificate with your ${user.groups.length} groups would have ${der.length} bytes, more than the limit of ${MAX_CERTIFICATE_BYTES}: ${ASK} for fewer groups`,
        )
      }
      const certificate = checked(der, current, content)
      return {
        pem: certificate.toString(),
        serial: certificate.serialNumber,
        source,
        notAfter: content.notAfter,
      }
    },
  }
}

/** The annotations that say where a user has signed in, by the method that has recognized the user. */
const SOURCES: Readonly<Record<string, string>> = {
  oidc: ISSUER_ANNOTATION,
  [LDAP_METHOD]: SOURCE_ANNOTATION,
}

/** @throws StatusError 403 for a credential that is not a sign-in at one of the sources */
function sourceOf(
  { method, annotations }: Authentication,
  isSource: CertificateIssuerEffects['isSource'],
): string {
  const annotation = Object.hasOwn(SOURCES, method) ? SOURCES[method] : undefined
  const source = annotation === undefined ? undefined : annotations[annotation]
  if (source === undefined) {
    throw refused(
      'a certificate is issued for a sign-in with a token, not for a client certificate or a service account: run gatehouse login URL --certificate',
    )
  }
  if (!isSource(source)) {
    throw refused(
      `no certificates are issued for sign-ins at ${quote(source)}: ${ASK} to list it in authentication.issuedCertificates.issuers`,
    )
  }
  return source
}

/**
 * The groups that only deny rules count. A certificate states all groups of its user: if not all were known,
 * deny rules would no longer count those that are missing.
 *
 * @throws StatusError 403 for a user whose groups are not all known
 */
function unassertedGroupsOf({ unassertedGroups = [] }: UserInfo): readonly string[] {
  if (unassertedGroups !== 'unknown') return unassertedGroups
  throw refused(
    `the token does not state your groups, or they could not be looked up, and a certificate must state them: ${ASK}`,
  )
}

/** @throws StatusError 401 or 403 when the sign-in is not known to be young enough */
function signInTimeOf({ signedInAt }: Authentication, maxAge: number, now: number): number {
  if (signedInAt === undefined) {
    throw refused(
      `the token does not say when you signed in (auth_time): ${ASK} to have the issuer include it`,
    )
  }
  if (signedInAt > now + LEEWAY_MS) {
    throw refused('the token says that you signed in in the future (auth_time): compare the clocks')
  }
  if (now - signedInAt > maxAge - MIN_LIFETIME_MS) {
    const seconds = Math.floor(maxAge / 1_000)
    throw new StatusError(
      'Unauthorized',
      'your sign-in is too old for a certificate: run gatehouse login URL --certificate',
      {
        headers: {
          'WWW-Authenticate': `Bearer error="insufficient_user_authentication", error_description="the sign-in is too old", max_age="${seconds}"`,
        },
      },
    )
  }
  return Math.min(signedInAt, now)
}

/** The certificate has a digest of its own, which identifies the credential from now on (KEP-3331). */
const CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'

function extraOf({ extra }: UserInfo): UserInfo['extra'] {
  return Object.fromEntries(Object.entries(extra).filter(([key]) => key !== CREDENTIAL_ID))
}

function wholeSeconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000) * 1_000
}

/**
 * Reads a new certificate as it will be read when it is used: whatever has signed it, and whatever a name
 * contains, it must be of the CA and name this very user.
 *
 * @throws StatusError 503 when it is not, or does not
 */
function checked(
  der: Uint8Array,
  { certificate: authority }: IssuingAuthority,
  { user, notAfter, signIn }: Pick<CertificateContent, 'user' | 'notAfter' | 'signIn'>,
): X509Certificate {
  const certificate = parsed(der)
  if (certificate?.checkIssued(authority) !== true || !certificate.verify(authority.publicKey)) {
    throw failed('the signature of a new certificate is not one of the issuing CA')
  }
  const read = issuedIdentity(describeCertificate(certificate), der)
  const { extra, ...names } = read.user
  const isSame =
    names.username === user.username &&
    names.uid === user.uid &&
    JSON.stringify(names.groups) === JSON.stringify(user.groups) &&
    JSON.stringify(names.unassertedGroups ?? []) === JSON.stringify(signIn.unassertedGroups) &&
    Object.entries(signIn.extra).every(
      ([key, values]) => JSON.stringify(extra[key]) === JSON.stringify(values),
    ) &&
    isOfSignIn(read, signIn) &&
    read.expiresAt === notAfter
  if (!isSame) throw failed('a new certificate does not read back as the user whom it is for')
  return certificate
}

function isOfSignIn(
  { annotations, tokenID, origin }: Authentication,
  { source, token, ...signIn }: CertificateContent['signIn'],
): boolean {
  return (
    annotations[SOURCE_ANNOTATION] === source &&
    tokenID === signIn.tokenID &&
    isDeepStrictEqual(origin === undefined ? undefined : tokenOf(origin), token)
  )
}

/** What revocations of the sign-in are about. */
function tokenOf({ subject, session, issuedAt }: SignInOrigin): IssuedToken {
  return { subject, session, issuedAt }
}

function parsed(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der)
  } catch {
    return undefined
  }
}

function refused(message: string): StatusError {
  return new StatusError('Forbidden', message)
}

function failed(cause: string): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    'no certificate can be issued at present: contact your Gatehouse administrator',
    { cause: new Error(cause) },
  )
}

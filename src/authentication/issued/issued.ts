/**
 * Client certificates that Gatehouse itself has issued for a sign-in. Their subject has the user as that
 * sign-in named it, with the prefixes of its issuer, and they are known by their CA.
 */
import type { X509Certificate } from 'node:crypto'

import type { ClientConnection, PeerCertificate } from '../../http/exchange.ts'
import type { Authentication, SignInOrigin, UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { AUTHENTICATED } from '../identity-guard.ts'
import { quote } from '../quote.ts'
import type { SignIn, SignInCheck } from '../sign-in.ts'
import type { CertificateDescription } from '../x509/describe-certificate.ts'
import { subjectIdentity } from '../x509/subject-identity.ts'
import { checkVerdict } from '../x509/verdict.ts'
import { createIssuedHere } from './issued-here.ts'
import { readSignIn, type IssuedToken } from './sign-in-extension.ts'

/** Authenticates by certificates of Gatehouse's own CA. */
export interface IssuedSignInMethod extends SignIn {
  /** Puts the issuing CAs into effect, PEM: the current one, and earlier ones. */
  update(issuingCA: string): void
}

export interface SourcePrefixes {
  readonly username: string
  /** Undefined: users have no groups. */
  readonly groups: string | undefined
}

export interface IssuedEffects {
  /** Which loading of the CAs is in effect; a verdict from another one is void. */
  readonly generation: () => number
  /** The certificates that the client of a connection sent, its own first. */
  readonly chainOf: (connection: ClientConnection) => readonly X509Certificate[]
  /**
   * What the names of users of this source begin with, under the configuration in effect; undefined: no
   * certificates are issued for sign-ins there.
   */
  readonly prefixesOf: (source: string) => SourcePrefixes | undefined
  readonly readiness: () => readonly SignInCheck[]
  /** Why a user of another method must not have this name: it is of a directory. */
  readonly reserves: (user: UserInfo) => string | undefined
  /** Ends what `readiness` depends on. */
  readonly close: () => void
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

const METHOD = 'issued-certificate'

/** The annotation with the issuer or directory where the user signed in. */
export const SOURCE_ANNOTATION = 'authentication.gatehouse/source'

/** Creates authentication by certificates that Gatehouse has issued. */
export function createIssuedSignIn(effects: IssuedEffects): IssuedSignInMethod {
  const { generation, chainOf, prefixesOf, readiness, close, now = Date.now } = effects
  // One object for one certificate, so that what is derived from it is derived once.
  const known = new WeakMap<PeerCertificate, Authentication>()
  let isIssuedHere = createIssuedHere('')

  function sourceProblem({ annotations, user }: Authentication): string | undefined {
    const source = annotations[SOURCE_ANNOTATION] ?? ''
    const prefixes = prefixesOf(source)
    if (prefixes === undefined) {
      return `certificates are no longer issued for sign-ins at ${quote(source)}`
    }
    // Names with an earlier prefix may be those of another source by now.
    return hasPrefixes(user, prefixes)
      ? undefined
      : `users of ${quote(source)} no longer have such names: sign in again`
  }

  function recheckChain(connection: ClientConnection): string | undefined {
    const [certificate] = chainOf(connection)
    return certificate !== undefined && isIssuedHere(certificate)
      ? undefined
      : 'the CA that issued the certificate is no longer one of Gatehouse'
  }

  return {
    method: METHOD,
    authenticate(credential) {
      if (credential.kind !== 'certificate') return undefined
      const { certificate } = credential
      if (certificate.issuedHere === undefined) return undefined
      checkVerdict(certificate, generation(), now())
      let authentication = known.get(certificate)
      if (authentication === undefined) {
        authentication = issuedIdentity(certificate, certificate.issuedHere)
        known.set(certificate, authentication)
      }
      const problem = sourceProblem(authentication)
      if (problem !== undefined) throw unauthorized(`client certificate: ${problem}`)
      return authentication
    },
    recheck: (authentication, connection) =>
      sourceProblem(authentication) ?? recheckChain(connection),
    recheckBinding: (connection) =>
      connection.peerCertificate?.issuedHere === undefined ? undefined : recheckChain(connection),
    reserves: (user) => effects.reserves(user),
    namesAnyone: true,
    readiness,
    update(issuingCA) {
      isIssuedHere = createIssuedHere(issuingCA)
    },
    close,
  }
}

function hasPrefixes({ username, groups }: UserInfo, prefixes: SourcePrefixes): boolean {
  if (!username.startsWith(prefixes.username)) return false
  const own = groups.filter((group) => group !== AUTHENTICATED)
  return prefixes.groups === undefined
    ? own.length === 0
    : own.every((group) => group.startsWith(prefixes.groups ?? ''))
}

/**
 * The identity in a certificate that Gatehouse has issued.
 *
 * @throws StatusError 401 when it cannot be read
 */
export function issuedIdentity(
  certificate: CertificateDescription,
  der: Uint8Array,
): Authentication {
  const { user, annotations, ...origin } = subjectIdentity(certificate)
  const { source, signedInAt, extra, unassertedGroups, tokenID, token } = readSignIn(der)
  return {
    ...origin,
    user: {
      ...user,
      extra: { ...extra, ...user.extra },
      ...(unassertedGroups.length === 0 ? {} : { unassertedGroups }),
    },
    method: METHOD,
    annotations: { ...annotations, [SOURCE_ANNOTATION]: source },
    signedInAt,
    ...(tokenID === undefined ? {} : { tokenID }),
    // Without a token, the source is a directory.
    ...(token === undefined ? {} : { origin: originOf(source, token, certificate.notBefore) }),
  }
}

function originOf(
  issuer: string,
  { subject, session, issuedAt }: IssuedToken,
  credentialIssuedAt: number,
): SignInOrigin {
  return { issuer, subject, session, issuedAt, credentialIssuedAt }
}

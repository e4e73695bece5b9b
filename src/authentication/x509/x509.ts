/**
 * Client certificates (apiserver/pkg/authentication/request/x509): CN is the user, every O a group,
 * the attribute 1.3.6.1.4.1.57683.2 the UID, unless the CA has names of its own. TLS verified the chain; this reads the verdict, and
 * checks for every request what may have changed since the handshake.
 */
import type { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'

import type { ClientConnection, PeerCertificate } from '../../http/exchange.ts'
import { causeOf } from '../../http/refusal.ts'
import type { Authentication, UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import type { SignIn } from '../sign-in.ts'
import { createFindNames, type FindNames } from './authorities.ts'
import { prefixesOf, takenName, type NamePrefixes } from './certificate-names.ts'
import { createCertificateRecheck, type CertificateRecheck } from './certificate-recheck.ts'
import type { ClientTrust } from './client-ca.ts'
import { describeVerifyError, timeProblem } from './verify-errors.ts'

const UID_ATTRIBUTE = '1.3.6.1.4.1.57683.2'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0'

/** Authenticates by client certificates. */
export interface X509SignIn extends SignIn {
  /** Puts a client CA bundle and its revocation lists into effect. */
  update(clientTrust: ClientTrust): void
}

export interface X509Effects {
  /** Which loading of client CA and CRL is in effect; a verdict from another one is void. */
  readonly generation: () => number
  /** The certificates that the client of a connection sent, its own first. */
  readonly chainOf: (connection: ClientConnection) => readonly X509Certificate[]
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

const METHOD = 'x509'

/** Creates authentication by client certificates. */
export function createX509SignIn({ generation, chainOf, now = Date.now }: X509Effects): X509SignIn {
  // One object for one certificate, so that what is derived from it is derived once.
  const known = new WeakMap<PeerCertificate, Authentication>()
  // What certificates named. Keyed by the annotations, since the identity guard keeps that object.
  const named = new WeakMap<Authentication['annotations'], UserInfo>()
  let recheck: CertificateRecheck = () => 'no client CA is loaded'
  let findNames: FindNames | undefined
  let prefixes: readonly NamePrefixes[] = []

  /** @throws StatusError 401 */
  function identify(certificate: PeerCertificate, connection: ClientConnection): Authentication {
    if (findNames === undefined) return identityOf(certificate)
    const chain = chainOf(connection)
    const [own] = chain
    if (own === undefined) throw unauthorized('client certificate: its connection has closed')
    const user = findNames(chain)(own, {
      user: () => identityOf(certificate).user,
      organizations: attribute(certificate.subject, 'O'),
      extra: extraOf(certificate),
    })
    return { ...originOf(certificate), user }
  }

  /** A CA has moved to a file that names its users in another way. */
  function renamed(before: UserInfo, connection: ClientConnection): string | undefined {
    const certificate = connection.peerCertificate
    if (certificate === undefined) return 'the client has no certificate'
    try {
      const { user } = identify(certificate, connection)
      return isDeepStrictEqual(user, before) ? undefined : 'the certificate now names another user'
    } catch (error) {
      const { cause, message } = error as Error
      return cause instanceof Error ? causeOf(cause) : message
    }
  }

  return {
    method: METHOD,
    authenticate(credential) {
      if (credential.kind !== 'certificate') return undefined
      const { certificate } = credential
      checkVerdict(certificate, generation(), now())
      let authentication = known.get(certificate)
      if (authentication === undefined) {
        authentication = identify(certificate, credential.connection)
        known.set(certificate, authentication)
        named.set(authentication.annotations, authentication.user)
      }
      return authentication
    },
    recheck({ annotations }, connection) {
      const before = named.get(annotations)
      if (before === undefined) return 'the user did not authenticate with a certificate'
      return recheck(chainOf(connection)) ?? renamed(before, connection)
    },
    // Names of certificates without a prefix are nobody else's only because others have one.
    reserves: (user) => takenName(user, prefixes),
    // Judging a certificate depends on no other system.
    readiness: () => [],
    update(clientTrust) {
      // Parsed for the first running request that needs it, so that the start does not wait for it.
      recheck = (chain) => {
        recheck = createCertificateRecheck(clientTrust)
        return recheck(chain)
      }
      const { bundles } = clientTrust
      findNames = bundles && createFindNames(bundles)
      prefixes = (bundles ?? []).map(({ names }) => prefixesOf(names))
    },
    close: () => undefined,
  }
}

function checkVerdict(certificate: PeerCertificate, generation: number, now: number): void {
  const { verifyError, extKeyUsage } = certificate
  if (verifyError !== undefined) {
    throw unauthorized(`client certificate: ${describeVerifyError(verifyError, certificate, now)}`)
  }
  // The CA bundle or the CRL has changed since the handshake: the client needs a new connection.
  if (certificate.generation !== generation) {
    throw unauthorized(
      'client certificate: verified against a CA bundle that is no longer in effect',
    )
  }
  if (!(certificate.notBefore <= now && now <= certificate.notAfter)) {
    const problem = timeProblem(certificate.notBefore, certificate.notAfter, now)
    throw unauthorized(`client certificate: ${problem ?? 'its validity period cannot be parsed'}`)
  }
  if (!(now <= certificate.verdictEndsAt)) {
    throw unauthorized(
      'client certificate: a CA above it, or a revocation list, has expired since the connection was opened',
      { closeConnection: true },
    )
  }
  // kube-apiserver accepts it: a CA without extended key usage may be used for anything.
  if (certificate.isCA) {
    throw unauthorized('client certificate: it is the certificate of a CA, not of a user')
  }
  // Go's x509.Verify: without the extension every usage is allowed; kube-apiserver requires clientAuth.
  const usages = extKeyUsage ?? [CLIENT_AUTH]
  if (!usages.includes(CLIENT_AUTH) && !usages.includes(ANY_EXTENDED_KEY_USAGE)) {
    throw unauthorized('client certificate: extended key usage clientAuth is missing')
  }
}

function identityOf(certificate: PeerCertificate): Authentication {
  const { subject } = certificate
  const names = attribute(subject, 'CN')
  // Go takes the last CN of a subject that has several. Other readers may not, so it is rejected.
  const [username] = names
  if (names.length !== 1 || username === undefined || username === '') {
    throw unauthorized('client certificate: its subject must have exactly one common name')
  }
  const uids = attribute(subject, UID_ATTRIBUTE)
  const uid = uids[0] ?? ''
  if (uids.length > 1 || (uids.length === 1 && uid === '')) {
    throw unauthorized('client certificate: its subject has more than one UID, or an empty one')
  }
  const groups = [...new Set(attribute(subject, 'O'))]
  return { ...originOf(certificate), user: { username, uid, groups, extra: extraOf(certificate) } }
}

function originOf({
  sha256,
  serialNumber,
  notAfter,
}: PeerCertificate): Omit<Authentication, 'user'> {
  return {
    method: METHOD,
    annotations: { 'authentication.gatehouse/certificate-sha256': sha256 },
    expiresAt: notAfter,
    certificateSerial: serialNumber,
  }
}

function extraOf({ sha256 }: PeerCertificate): UserInfo['extra'] {
  return { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${sha256}`] }
}

function attribute(subject: PeerCertificate['subject'], name: string): readonly string[] {
  const value = Object.hasOwn(subject, name) ? subject[name] : undefined
  if (value === undefined) return []
  return typeof value === 'string' ? [value] : value
}

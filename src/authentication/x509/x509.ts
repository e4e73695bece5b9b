/**
 * Client certificates (apiserver/pkg/authentication/request/x509): CN is the user, every O a group,
 * the attribute 1.3.6.1.4.1.57683.2 the UID, unless the CA has names of its own or is that of front proxies.
 * TLS verified the chain; this reads the verdict, and checks for every request what may have changed since
 * the handshake.
 */
import type { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'

import type { ClientConnection, PeerCertificate } from '../../http/exchange.ts'
import { causeOf } from '../../http/refusal.ts'
import type { Authentication, UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { rejected } from '../identity-guard.ts'
import type { SignIn } from '../sign-in.ts'
import { createFindNames, prefixesOfAll, type FindNames } from './authorities.ts'
import { takenName, type CertificateNames, type NamePrefixes } from './certificate-names.ts'
import { createCertificateRecheck, type CertificateRecheck } from './certificate-recheck.ts'
import type { ClientTrust } from './client-ca.ts'
import { createFrontProxy, type FrontedRequest, type FrontProxyOptions } from './front-proxy.ts'
import {
  attributeValues,
  extraOf,
  originOf,
  subjectIdentity,
  X509_METHOD,
} from './subject-identity.ts'
import { checkVerdict } from './verdict.ts'

/** Authenticates by client certificates. */
export interface X509SignIn extends SignIn {
  /** Puts a client CA bundle and its revocation lists into effect. */
  update(clientTrust: ClientTrust): void
}

export interface X509Options {
  /** Undefined: no front proxy names users. */
  readonly frontProxy: FrontProxyOptions | undefined
}

export interface X509Effects {
  /** Which loading of client CA and CRL is in effect; a verdict from another one is void. */
  readonly generation: () => number
  /** The certificates that the client of a connection sent, its own first. */
  readonly chainOf: (connection: ClientConnection) => readonly X509Certificate[]
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

/** Creates authentication by client certificates. */
export function createX509SignIn(
  options: X509Options,
  { generation, chainOf, now = Date.now }: X509Effects,
): X509SignIn {
  const frontProxy = options.frontProxy && createFrontProxy(options.frontProxy)
  // One object for one certificate, so that what is derived from it is derived once.
  const known = new WeakMap<PeerCertificate, Authentication>()
  // What certificates named. Keyed by the annotations, since the identity guard keeps that object.
  const named = new WeakMap<Authentication['annotations'], UserInfo>()
  const fronted = new WeakMap<Authentication['annotations'], Authentication>()
  let recheck: CertificateRecheck = () => 'no client CA is loaded'
  let findNames: FindNames | undefined
  let found = new WeakMap<PeerCertificate, ReturnType<FindNames>>()
  let prefixes: readonly NamePrefixes[] = []

  /** How the user is named; undefined: as in kube-apiserver. @throws StatusError 401 */
  function namesOf(
    certificate: PeerCertificate,
    connection: ClientConnection,
  ): ReturnType<FindNames> | undefined {
    if (findNames === undefined) return undefined
    let names = found.get(certificate)
    if (names === undefined) {
      names = findNames(chainOf(connection))
      found.set(certificate, names)
    }
    return names
  }

  /** The user whom the certificate names. @throws StatusError 401 */
  function identify(
    certificate: PeerCertificate,
    connection: ClientConnection,
    names: CertificateNames | undefined,
  ): Authentication {
    if (names === undefined) return subjectIdentity(certificate)
    const [own] = chainOf(connection)
    if (own === undefined) throw unauthorized('client certificate: its connection has closed')
    const user = names(own, {
      user: () => subjectIdentity(certificate).user,
      organizations: attributeValues(certificate.subject, 'O'),
      extra: extraOf(certificate),
    })
    return { ...originOf(certificate), user }
  }

  /** The user whom a front proxy names. @throws StatusError 401, or 403 for a name of other sources */
  function identifyFronted(request: FrontedRequest): Authentication {
    if (frontProxy === undefined) throw new TypeError('there is no front proxy')
    const known = frontProxy.authenticate(request)
    const problem = takenName(known.user, prefixes)
    if (problem !== undefined) throw rejected(problem)
    let authentication = fronted.get(known.annotations)
    if (authentication === undefined) {
      authentication = { user: known.user, method: X509_METHOD, annotations: known.annotations }
      fronted.set(known.annotations, authentication)
    }
    return authentication
  }

  /** A CA has moved to a file that names its users in another way. */
  function renamed(
    annotations: Authentication['annotations'],
    connection: ClientConnection,
  ): string | undefined {
    const { peerCertificate: certificate } = connection
    if (certificate === undefined) return 'the client has no certificate'
    const names = namesOf(certificate, connection)
    if (names === 'frontProxy') {
      const problem = frontProxy?.problem(certificate, connection)
      return fronted.has(annotations) ? problem : 'the certificate is now one of a front proxy'
    }
    const { user } = identify(certificate, connection, names)
    return isDeepStrictEqual(user, named.get(annotations))
      ? undefined
      : 'the certificate now names another user'
  }

  return {
    method: X509_METHOD,
    authenticate(credential) {
      if (credential.kind !== 'certificate') return undefined
      const { certificate } = credential
      // Those that Gatehouse issued are authentication/issued's, whatever they contain.
      if (certificate.issuedHere !== undefined) return undefined
      checkVerdict(certificate, generation(), now())
      let authentication = known.get(certificate)
      if (authentication === undefined) {
        const names = namesOf(certificate, credential.connection)
        if (names === 'frontProxy') return identifyFronted(credential)
        authentication = identify(certificate, credential.connection, names)
        known.set(certificate, authentication)
        named.set(authentication.annotations, authentication.user)
      }
      return authentication
    },
    recheck({ annotations }, connection) {
      const problem = recheck(chainOf(connection))
      if (problem !== undefined) return problem
      try {
        return renamed(annotations, connection)
      } catch (error) {
        const { cause, message } = error as Error
        return cause instanceof Error ? causeOf(cause) : message
      }
    },
    recheckBinding(connection) {
      const { peerCertificate } = connection
      if (peerCertificate?.issuedHere !== undefined) return undefined
      // No CA has vouched for it, so none can cease to.
      return peerCertificate?.isSelfSigned === true ? undefined : recheck(chainOf(connection))
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
      found = new WeakMap()
      prefixes = prefixesOfAll((bundles ?? []).map(({ names }) => names))
    },
    close: () => undefined,
  }
}

/**
 * TLS of the listener: serving and SNI certificates, selected as by kube-apiserver
 * (apiserver/pkg/server/dynamiccertificates), and the client CA.
 */
import { constants, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'

import { createChainCheck } from '../authentication/x509/certificate-recheck.ts'
import type { ClientTrust } from '../authentication/x509/client-ca.ts'
import { createIssuedHere } from '../authentication/issued/issued-here.ts'
import { createVerdictEnd, type VerdictEnd } from '../authentication/x509/verdict-end.ts'
import { opensslCiphers } from './cipher-suites.ts'

/** A certificate and its key as PEM, with the server names that select it. */
export interface ServingCertificate {
  readonly certificate: string
  readonly privateKey: string
  /** They replace the names in the certificate; empty: the certificate's own names apply. */
  readonly names: readonly string[]
}

export interface ListenerTlsOptions {
  readonly minVersion: 'VersionTLS12' | 'VersionTLS13'
  /** kube-apiserver's names; empty: all supported suites. */
  readonly cipherSuites: readonly string[]
  readonly serving: ServingCertificate
  readonly sni: readonly ServingCertificate[]
  /** CAs of others that sign client certificates. */
  readonly clientTrust: ClientTrust | undefined
  /**
   * Gatehouse's own CAs, PEM. No revocation list is needed for them. Without these, `clientTrust` and
   * `acceptsSelfSigned`, client certificates are not requested.
   */
  readonly issuingCA: string | undefined
  /** Whether clients may have certificates that they have signed themselves, beside bound tokens. */
  readonly acceptsSelfSigned: boolean
  /** The server name of pages for browsers, in lower case; undefined when there is none of their own. */
  readonly pagesName?: string | undefined
}

/** The part of the TLS configuration that depends on files; replaced as a whole when one changes. */
export interface ListenerTls {
  /** For clients that send no server name, or an unknown one. */
  readonly context: SecureContext
  contextFor(serverName: string): SecureContext | undefined
  /**
   * Whether a client that connects to this server name is asked for a certificate. A browser would ask
   * its user to choose one before it shows a page.
   */
  requestsCertificate(serverName: string): boolean
  /** Whether a certificate that is signed with its own key is accepted beside a token bound to it. */
  readonly acceptsSelfSigned: boolean
  /** Whether one of Gatehouse's own CAs has signed a certificate. */
  readonly isIssuedHere: (certificate: X509Certificate) => boolean
  /** How long the verdict on a chain holds that these options have accepted. */
  readonly verdictEnd: VerdictEnd
  /**
   * OpenSSL's code for what the revocation lists have against the certificates that a client sent, its
   * own first, which OpenSSL has verified otherwise; undefined when nothing, or without lists.
   *
   * @param now milliseconds since the epoch
   */
  readonly revocationProblem: (
    chain: () => readonly X509Certificate[],
    now: number,
  ) => string | undefined
}

/**
 * Builds the TLS contexts.
 *
 * @throws Error of OpenSSL when a key does not match its certificate or PEM is invalid
 */
export function buildListenerTls(tls: ListenerTlsOptions): ListenerTls {
  const exact = new Map<string, SecureContext>()
  for (const pair of tls.sni) {
    const context = createSecureContext(contextOptions(tls, pair))
    const names =
      pair.names.length > 0 ? pair.names : certificateNames(new X509Certificate(pair.certificate))
    for (const name of names) {
      // If two pairs have the same name, the first one wins, as with kube-apiserver's flag.
      if (!exact.has(name.toLowerCase())) exact.set(name.toLowerCase(), context)
    }
  }
  const isIssuedHere = createIssuedHere(tls.issuingCA ?? '')
  return {
    context: createSecureContext(contextOptions(tls, tls.serving)),
    contextFor: (serverName) =>
      exact.get(serverName.toLowerCase()) ?? exact.get(wildcard(serverName)),
    requestsCertificate: (serverName) =>
      requestsCertificates(tls) && serverName.toLowerCase() !== tls.pagesName,
    acceptsSelfSigned: tls.acceptsSelfSigned,
    isIssuedHere,
    verdictEnd: verdictEnd(tls, isIssuedHere),
    revocationProblem: revocationProblem(tls.clientTrust, isIssuedHere),
  }
}

function verdictEnd(
  { clientTrust = { ca: '', crl: undefined }, issuingCA }: ListenerTlsOptions,
  isIssuedHere: ListenerTls['isIssuedHere'],
): VerdictEnd {
  const ofOthers = createVerdictEnd(clientTrust)
  if (issuingCA === undefined) return ofOthers
  const own = createVerdictEnd({ ca: issuingCA, crl: undefined })
  return (chain) =>
    chain[0] !== undefined && isIssuedHere(chain[0]) ? own(chain) : ofOthers(chain)
}

function revocationProblem(
  clientTrust: ClientTrust | undefined,
  isIssuedHere: ListenerTls['isIssuedHere'],
): ListenerTls['revocationProblem'] {
  if (clientTrust?.crl === undefined) return () => undefined
  const check = createChainCheck(clientTrust)
  return (chainOf, now) => {
    const chain = chainOf()
    return chain[0] !== undefined && isIssuedHere(chain[0]) ? undefined : check(chain, now)
  }
}

/** All CAs that sign client certificates, PEM. */
function authoritiesOf({
  clientTrust,
  issuingCA,
}: Pick<ListenerTlsOptions, 'clientTrust' | 'issuingCA'>): readonly string[] {
  return [clientTrust?.ca, issuingCA].filter((pem) => pem !== undefined)
}

function requestsCertificates(tls: ListenerTlsOptions): boolean {
  return tls.acceptsSelfSigned || authoritiesOf(tls).length > 0
}

function contextOptions(tls: ListenerTlsOptions, pair: ServingCertificate): SecureContextOptions {
  const authorities = authoritiesOf(tls)
  return {
    cert: pair.certificate,
    key: pair.privateKey,
    minVersion: tls.minVersion === 'VersionTLS13' ? 'TLSv1.3' : 'TLSv1.2',
    ciphers: opensslCiphers(tls.cipherSuites),
    honorCipherOrder: true,
    // No resumption: a resumed session would keep the verification result of a client certificate
    // after a change of the CA bundle or the CRL. client-go has no session cache, so nothing is lost.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext: 'gatehouse',
    // As in Go, an intermediate CA alone is a trust anchor. OpenSSL's own revocation checks do not
    // work with that (authentication/x509/revocation.ts), so it is not given the lists.
    // Without a list, Node would trust the public CAs.
    ...(requestsCertificates(tls) ? { ca: [...authorities], allowPartialTrustChain: true } : {}),
  }
}

/**
 * The names under which clients reach the listener: those in the certificates, with their wildcards, and
 * the configured ones.
 *
 * @returns whether a host (a DNS name, or an IP address without brackets) is one of them
 */
export function servingNames(pairs: readonly ServingCertificate[]): (host: string) => boolean {
  const names = new Set(pairs.flatMap((pair) => pair.names.map((name) => name.toLowerCase())))
  const certificates = pairs.map(({ certificate }) => new X509Certificate(certificate))
  return (host) =>
    names.has(host) ||
    names.has(wildcard(host)) ||
    certificates.some((certificate) =>
      isIP(host) === 0
        ? certificate.checkHost(host, { subject: 'never' }) !== undefined
        : certificate.checkIP(host) !== undefined,
    )
}

/** DNS names and IP addresses in the certificate; clients ignore its common name. */
export function certificateNames(certificate: X509Certificate): readonly string[] {
  const alternative = certificate.subjectAltName ?? ''
  return alternative
    .split(', ')
    .flatMap((entry) => /^(?:DNS|IP Address):(.+)$/.exec(entry)?.[1] ?? [])
}

/** `*.example.com` for `a.example.com`: one label, as in kube-apiserver. */
function wildcard(serverName: string): string {
  const dot = serverName.indexOf('.')
  return dot < 0 || isIP(serverName) !== 0 ? '' : `*${serverName.slice(dot).toLowerCase()}`
}

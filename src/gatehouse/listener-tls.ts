/** The listener's TLS configuration, assembled from serving certificates, client CA and issuing CA. */
import type { ClientTrust } from '../authentication/x509/client-ca.ts'
import type { Configuration } from '../config/schema.ts'
import type { Listener } from '../listener/listener.ts'
import type { ServingCertificates } from '../listener/serving-certificates.ts'
import { buildListenerTls, servingNames, type ListenerTls } from '../listener/tls.ts'

export interface ListenerTlsParts {
  /** New handshakes use these certificates. */
  updateServing(serving: ServingCertificates): void
  /** New handshakes use this bundle; connections that presented a certificate finish. */
  updateClientTrust(clientTrust: ClientTrust): void
  /** As `updateClientTrust`, for Gatehouse's own CAs (PEM). */
  updateIssuingCA(issuingCA: string): void
  /** Whether the listener asks clients for a certificate. */
  readonly requestsCertificates: boolean
  /** Whether a host is a name of the serving certificates in effect. */
  isServingName(host: string): boolean
  /** What the listener starts with: the latest version of all parts. */
  current(): ListenerTls
  /** From now on changes go to this listener. */
  attach(listener: Pick<Listener, 'updateTls' | 'generation'>): void
  /** Which client CA bundle is in effect; the listener counts them. */
  generation(): number
}

interface InEffect {
  readonly serving: ServingCertificates | undefined
  readonly clientTrust: ClientTrust | undefined
  readonly issuingCA: string | undefined
}

/** Creates the parts, empty at first. An update that OpenSSL rejects throws and changes nothing. */
export function createListenerTlsParts(
  options: Pick<Configuration['listener']['tls'], 'minVersion' | 'cipherSuites'> & {
    /** The server name of pages for browsers, where they have one of their own. */
    readonly pagesName?: string | undefined
    /** Whether self-signed certificates are accepted beside tokens that are bound to them. */
    readonly acceptsSelfSigned: boolean
  },
): ListenerTlsParts {
  let inEffect: InEffect = { serving: undefined, clientTrust: undefined, issuingCA: undefined }
  let isServingName: (host: string) => boolean = () => false
  let listener: Pick<Listener, 'updateTls' | 'generation'> | undefined

  function build({ serving, clientTrust, issuingCA }: InEffect): ListenerTls {
    if (serving === undefined) throw new Error('no serving certificate has been loaded')
    const { minVersion, cipherSuites, pagesName, acceptsSelfSigned } = options
    const trust = { clientTrust, issuingCA, acceptsSelfSigned }
    return buildListenerTls({ minVersion, cipherSuites, pagesName, ...serving, ...trust })
  }

  function update(next: InEffect, trustChanged: boolean): void {
    listener?.updateTls(build(next), trustChanged)
    inEffect = next
  }

  return {
    updateServing(serving) {
      update({ ...inEffect, serving }, false)
      isServingName = servingNames([serving.serving, ...serving.sni])
    },
    isServingName: (host) => isServingName(host),
    updateClientTrust: (clientTrust) => update({ ...inEffect, clientTrust }, true),
    updateIssuingCA: (issuingCA) => update({ ...inEffect, issuingCA }, true),
    get requestsCertificates() {
      const { clientTrust, issuingCA } = inEffect
      return options.acceptsSelfSigned || clientTrust !== undefined || issuingCA !== undefined
    },
    current: () => build(inEffect),
    attach(next) {
      listener = next
    },
    generation: () => listener?.generation() ?? 0,
  }
}

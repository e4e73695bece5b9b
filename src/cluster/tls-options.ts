import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate, type SecureVersion } from 'node:tls'

import type { UpstreamTls } from './endpoint.ts'

/** In the form that `node:tls`, `node:http2` and undici accept. */
export interface UpstreamTlsOptions {
  readonly ca: string
  /** As in Go, an intermediate CA is a trust anchor without its root. */
  readonly allowPartialTrustChain: true
  readonly cert?: string
  readonly key?: string
  readonly minVersion: SecureVersion
  readonly rejectUnauthorized: true
  readonly servername: string
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined
}

/**
 * TLS options for connections to the API server, whose certificate is always verified against the CA
 * and the server name. SNI must not contain an address (RFC 6066 section 3): for an address, no SNI is
 * sent, and the certificate is still checked for it.
 */
export function tlsOptions(
  { ca, cert, key, serverName }: UpstreamTls,
  { withCredential = true }: { readonly withCredential?: boolean } = {},
): UpstreamTlsOptions {
  return {
    ca,
    allowPartialTrustChain: true,
    ...(cert === undefined || !withCredential ? {} : { cert }),
    ...(key === undefined || !withCredential ? {} : { key }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    servername: isIP(serverName) === 0 ? serverName : '',
    checkServerIdentity: (_host, certificate) => checkServerIdentity(serverName, certificate),
  }
}

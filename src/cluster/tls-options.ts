import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate, type SecureVersion } from 'node:tls'

import type { UpstreamTls } from './endpoint.ts'

/** As the three clients take it. */
export interface UpstreamTlsOptions {
  readonly ca: string
  readonly cert?: string
  readonly key?: string
  readonly minVersion: SecureVersion
  readonly rejectUnauthorized: true
  readonly servername: string
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined
}

/**
 * TLS to the API server, for `node:tls`, `node:http2` and undici alike: verified always, by the CA and
 * the name of the kubeconfig. SNI carries no addresses (RFC 6066 section 3), so for one no SNI is sent
 * and the certificate is still checked for it.
 */
export function tlsOptions(
  { ca, cert, key, serverName }: UpstreamTls,
  { withCredential = true }: { readonly withCredential?: boolean } = {},
): UpstreamTlsOptions {
  return {
    ca,
    ...(cert === undefined || !withCredential ? {} : { cert }),
    ...(key === undefined || !withCredential ? {} : { key }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    servername: isIP(serverName) === 0 ? serverName : '',
    checkServerIdentity: (_host, certificate) => checkServerIdentity(serverName, certificate),
  }
}

import { isIP } from 'node:net'
import {
  checkServerIdentity,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
} from 'node:tls'

import { verifiedTls, type VerifiedTls } from '../verified-tls.ts'
import type { UpstreamTls } from './endpoint.ts'

export interface UpstreamTlsOptions extends VerifiedTls {
  readonly cert?: string
  readonly key?: string
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
    ...verifiedTls(ca),
    ...(cert === undefined || !withCredential ? {} : { cert }),
    ...(key === undefined || !withCredential ? {} : { key }),
    servername: isIP(serverName) === 0 ? serverName : '',
    checkServerIdentity: (_host, certificate) => checkServerIdentity(serverName, certificate),
  }
}

const contexts = new WeakMap<UpstreamTls, SecureContext>()

/**
 * The secure context of connections with a client certificate, which is made once: reading the
 * certificates and the key takes longer than the rest of a connection's setup.
 */
export function secureContextOf(tls: UpstreamTls): SecureContext {
  let context = contexts.get(tls)
  if (context === undefined) {
    context = createSecureContext(tlsOptions(tls))
    contexts.set(tls, context)
  }
  return context
}

import type { SecureVersion } from 'node:tls'

/** In the form that `node:tls`, `node:https`, `node:http2`, undici and ioredis accept. */
export interface VerifiedTls {
  readonly ca?: string
  readonly allowPartialTrustChain?: true
  readonly minVersion: SecureVersion
  readonly rejectUnauthorized: true
}

/**
 * The TLS options of every connection that Gatehouse opens: the server's certificate is verified, even if
 * `NODE_TLS_REJECT_UNAUTHORIZED` is 0.
 *
 * @param ca PEM. As in Go, each certificate is a trust anchor, also an intermediate CA without its root.
 * Undefined: the certificate authorities that Node trusts
 */
export function verifiedTls(ca: string | undefined): VerifiedTls {
  return {
    ...(ca === undefined ? {} : { ca, allowPartialTrustChain: true }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
  }
}

import type { CertificatePair } from '../session/session.ts'

/** What the client sends with its requests. */
export interface Credential {
  readonly token?: string
  readonly certificate?: CertificatePair
}

/**
 * The response of a credential plugin, one line of JSON.
 *
 * @param expiresAt when the client asks again, in milliseconds since the epoch
 */
export function execCredential(
  apiVersion: string,
  { token, certificate }: Credential,
  expiresAt: number,
): string {
  const expirationTimestamp = new Date(expiresAt).toISOString()
  const status = {
    expirationTimestamp,
    token,
    clientCertificateData: certificate?.certificate,
    clientKeyData: certificate?.key,
  }
  return `${JSON.stringify({ apiVersion, kind: 'ExecCredential', status })}\n`
}

/**
 * The response of a credential plugin, one line of JSON.
 *
 * @param expiresAt when the client asks again, in milliseconds since the epoch
 */
export function execCredential(apiVersion: string, token: string, expiresAt: number): string {
  const expirationTimestamp = new Date(expiresAt).toISOString()
  const status = { expirationTimestamp, token }
  return `${JSON.stringify({ apiVersion, kind: 'ExecCredential', status })}\n`
}

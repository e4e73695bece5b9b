import { printable } from '../failure.ts'

/** Codes of OpenSSL and Node for a chain that ends at no trusted CA. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

const REASONS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired, or the clock of this machine is wrong',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet, or the clock of this machine is wrong',
  EAI_AGAIN: 'its name cannot be resolved: check the network',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was closed',
  EHOSTUNREACH: 'no route to it',
  ENETUNREACH: 'the network is unreachable',
  ENOTFOUND: 'its name does not exist, or cannot be resolved: check the URL and the network',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'the connection timed out',
  UND_ERR_SOCKET: 'the connection was closed',
}

/** Whether TLS failed because no trusted CA vouches for the server. */
export function isUntrusted(error: unknown): boolean {
  return UNTRUSTED.has(codeOf(error) ?? '')
}

/** Why a request failed, as part of a sentence. */
export function describeNetworkError(error: unknown): string {
  const code = codeOf(error) ?? ''
  if (UNTRUSTED.has(code)) return 'its certificate is not signed by a trusted CA'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'its certificate is for another name'
  const reason = REASONS[code]
  if (reason !== undefined) return reason
  if (error instanceof Error && error.name === 'TimeoutError') return 'it did not respond in time'
  return printable(error instanceof Error ? error.message : String(error))
}

/** The code of an error, or of the one that a library wrapped; several addresses are one failure. */
function codeOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    const { code } = at as NodeJS.ErrnoException
    if (typeof code === 'string' && !code.startsWith('OAUTH_')) return code
    at = at instanceof AggregateError ? at.errors[0] : at.cause
  }
  return undefined
}

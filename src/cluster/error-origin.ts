export interface ErrorOrigin {
  readonly code: string
  /** `connect`, `getaddrinfo`, `read`, `write`…; `''` when it is not a system error. */
  readonly syscall: string
}

/** OpenSSL's codes for a chain that ends in none of the given CAs. */
export const UNKNOWN_CA_CODES: ReadonlySet<string> = new Set([
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** Code for undici's parser errors without one, such as for an SSH banner. */
const NOT_HTTP = 'HPE_UNKNOWN'

/**
 * The innermost error with a code, since undici wraps the errors of sockets.
 *
 * @returns empty strings when no error in the chain has a code
 */
export function errorOrigin(error: unknown): ErrorOrigin {
  if (typeof error !== 'object' || error === null) return { code: '', syscall: '' }
  if (error instanceof AggregateError && error.errors.length > 0) {
    return errorOrigin(error.errors[0])
  }
  const { code, cause, syscall } = error as { code?: unknown; cause?: unknown; syscall?: unknown }
  const own = {
    code: typeof code === 'string' ? code : parserCode(error),
    syscall: typeof syscall === 'string' ? syscall : '',
  }
  if (own.code !== '' && own.code !== 'UND_ERR_SOCKET') return own
  return cause === undefined ? own : errorOrigin(cause)
}

function parserCode(error: object): string {
  return error instanceof Error && error.name === 'HTTPParserError' ? NOT_HTTP : ''
}

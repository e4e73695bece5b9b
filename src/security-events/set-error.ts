/** The error codes of RFC 8935 section 2.4, which RFC 8936 uses as well. */
export type SetErrorCode =
  | 'invalid_request'
  | 'invalid_key'
  | 'invalid_issuer'
  | 'invalid_audience'
  | 'authentication_failed'
  | 'access_denied'

/** A security event token that is refused. The message goes to the transmitter, and quotes nothing secret. */
export class SetError extends Error {
  override readonly name = 'SetError'
  readonly code: SetErrorCode
  /** Whether the connection on which it was pushed must not be used again. */
  readonly closesConnection: boolean

  constructor(
    code: SetErrorCode,
    message: string,
    { closesConnection = false }: { readonly closesConnection?: boolean } = {},
  ) {
    super(message)
    this.code = code
    this.closesConnection = closesConnection
  }
}

/** A request to an issuer, whatever sends it. */
export interface IssuerRequest {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/** A response whose body has not been read yet: one of the functions must be called. */
export interface IssuerResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Rejects when the body is too long, does not arrive whole, or the request's signal aborts. */
  readonly read: () => Promise<Uint8Array>
  readonly discard: () => void
}

/**
 * Sends a request to an https URL. Redirects are not followed. Rejects with the reason of `signal` when it
 * aborts, and with another error when there is no response.
 */
export type SendToIssuer = (
  url: URL,
  request: IssuerRequest,
  signal: AbortSignal,
) => Promise<IssuerResponse>

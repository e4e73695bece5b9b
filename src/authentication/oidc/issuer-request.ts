/** How a request to an issuer, or to a source of groups, is sent, whatever sends it. */
import type { HttpRequest } from '../../groups/group-source.ts'

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
  request: HttpRequest,
  signal: AbortSignal,
) => Promise<IssuerResponse>

/** The API server's endpoint and Gatehouse's own credential for it. */
import type { UpstreamEndpoint } from './endpoint.ts'

export interface UpstreamCredential {
  readonly endpoint: UpstreamEndpoint
  /** Bearer token, without the scheme; undefined when the client certificate is the credential. */
  readonly token: string | undefined
  /** The files that this was read from; a change of one is a reason to reload. */
  readonly files: readonly string[]
}

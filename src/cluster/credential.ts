/** Gatehouse's own access to the API server: endpoint and credential. */
import type { UpstreamEndpoint } from './endpoint.ts'

export interface UpstreamCredential {
  readonly endpoint: UpstreamEndpoint
  /** Bearer token, without the scheme; undefined when the client certificate is the credential. */
  readonly token: string | undefined
  /** Files whose change makes this stale. */
  readonly files: readonly string[]
}

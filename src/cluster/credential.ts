/** The API server's endpoint and Gatehouse's own credential for it. */
import type { UpstreamEndpoint } from './endpoint.ts'

export interface UpstreamCredential {
  readonly endpoint: UpstreamEndpoint
  /** Bearer token, without the scheme; undefined when the client certificate is the credential. */
  readonly token: string | undefined
  /** The files that this was read from; a change of one is a reason to reload. */
  readonly files: readonly string[]
  /** Those of them that hold a private key or a token. */
  readonly secretFiles: readonly string[]
}

/** What is wrong with a text that is not a bearer token; the text, or its file, is the subject. */
export const NOT_A_TOKEN = 'contains whitespace or characters other than ASCII'

/** Whether a text can be sent as a bearer token: with any other, every request would fail. */
export function isBearerToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text)
}

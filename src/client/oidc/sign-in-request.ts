import type { OidcMethod } from '../discovery.ts'
import type { CertificatePair } from '../session/session.ts'
import type { Terminal } from '../terminal.ts'

/** How long the user has to sign in. */
export const SIGN_IN_TIMEOUT_MS = 5 * 60_000

export interface SignInRequest {
  readonly method: OidcMethod
  /** Which account to ask the issuer for; empty for any. */
  readonly account: string
  readonly terminal: Terminal
  /** The command that opens a browser; undefined where there is none, or none is wanted. */
  readonly browser: readonly string[] | undefined
  /** Seconds after which the issuer has the user sign in anew; undefined: as the issuer likes. */
  readonly maxAge: number | undefined
  /** Whether to sign in with a device code. */
  readonly device: boolean
  /** What the token is to be bound to; undefined: it is an ID token, which is not bound. */
  readonly certificate: CertificatePair | undefined
}

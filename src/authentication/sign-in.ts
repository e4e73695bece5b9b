import type { ClientConnection, PeerCertificate } from '../http/exchange.ts'
import type { Authentication } from './authenticator.ts'

/** The one credential of a request. */
export type Credential =
  | { readonly kind: 'certificate'; readonly certificate: PeerCertificate }
  /** A bearer token without its scheme, not looked at yet. */
  | { readonly kind: 'token'; readonly token: string }

/** One entry of `/readyz`. */
export interface SignInCheck {
  readonly name: string
  /** Why nobody can sign in this way at present; undefined: users can. */
  readonly problem: string | undefined
  /** False while the first attempt to get ready is under way. */
  readonly wasTried: boolean
}

/**
 * One method of signing in. Methods stand in a written order (gatehouse/sign-ins.ts); the first one
 * that does not answer `undefined` judges the credential, and no other method is asked after it.
 */
export interface SignIn {
  /** Its name in audit events and metrics, such as `x509` or `oidc`. */
  readonly method: string
  /**
   * Judges a credential. `undefined`: the credential is not of this method's kind or form. A value:
   * recognized; the same object for the same credential, where that is cheap. A credential whose
   * judgment takes time is of this method's form: a promise never resolves to `undefined`.
   *
   * @throws StatusError 401 when the credential is of this method's form and is rejected; the reason
   * is in its cause, in words of the configuration and never of the credential
   */
  authenticate(credential: Credential): Authentication | undefined | Promise<Authentication>
  /**
   * Why an earlier sign-in by this method would be rejected under the current configuration and keys,
   * ignoring expiry; undefined when it would still be accepted, and as the same user.
   */
  recheck(authentication: Authentication, connection: ClientConnection): string | undefined
  /** What `/readyz` checks; empty for a method that depends on nothing outside of Gatehouse. */
  readiness(): readonly SignInCheck[]
  /** Ends fetches and timers. */
  close(): void
}

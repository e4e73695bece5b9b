import type { ClientConnection, PeerCertificate, RawHeaders } from '../http/exchange.ts'
import type { Authentication, UserInfo } from './authenticator.ts'
import type { SystemIdentities } from './identity-guard.ts'

/** The one credential of a request. */
export type Credential =
  | {
      readonly kind: 'certificate'
      readonly certificate: PeerCertificate
      /** The connection that it came with. */
      readonly connection: ClientConnection
      /** The header fields of the request, in which a front proxy names the user. */
      readonly rawHeaders: RawHeaders
    }
  /** A bearer token without its scheme, not looked at yet. */
  | { readonly kind: 'token'; readonly token: string }

/** One entry of `/readyz`. */
export interface SignInCheck {
  readonly name: string
  /** Why this method cannot authenticate anyone at present; undefined when it can. */
  readonly problem: string | undefined
  /** False while the first attempt to get ready is under way. */
  readonly wasTried: boolean
  /**
   * The way to sign in that does not work while one of its checks has a problem, such as an issuer. Undefined
   * for what only some users depend on: it does not fail readiness.
   */
  readonly way: string | undefined
}

/**
 * One authentication method. Methods are tried in the order of gatehouse/sign-ins.ts; the first one
 * that does not return `undefined` judges the credential, and no later one is tried.
 */
export interface SignIn {
  /** Its name in audit events and metrics, such as `x509` or `oidc`. */
  readonly method: string
  /**
   * Judges a credential. Returns `undefined` for a credential that is not of this method's kind or
   * form, else the user: the same object for the same credential, where that is cheap. A promise
   * never resolves to `undefined`: the form is decided synchronously.
   *
   * @throws StatusError 401 when the credential is of this method's form and is rejected; its cause
   * has the reason, in terms of the configuration, and never quotes the credential
   */
  authenticate(credential: Credential): Authentication | undefined | Promise<Authentication>
  /**
   * Why a credential that this method accepted would now be rejected under the current configuration
   * and keys, ignoring expiry; undefined when it would still be accepted, as the same user.
   */
  recheck(authentication: Authentication, connection: ClientConnection): string | undefined
  /**
   * Why the certificate of this connection, to which a token of another method is bound, is no longer
   * accepted; undefined when it is, or when it is another method's to judge. Only methods that judge
   * certificates have it.
   */
  recheckBinding?(connection: ClientConnection): string | undefined
  /**
   * Whether its users were named by another method, in whose name space they therefore are. The names
   * that others reserve are then not refused.
   */
  readonly namesAnyone?: boolean
  /**
   * Why a user whom another method recognized must not have this identity: its name or one of its groups
   * is of the name space of this method. Called with every request.
   */
  reserves(user: UserInfo): string | undefined
  /**
   * The names that begin with `system:` and that a user of this method may have, in place of those that
   * the administrator lists. Undefined for a method whose users have no such names of their own.
   */
  readonly systemIdentities?: (user: UserInfo) => SystemIdentities
  /** What `/readyz` checks; empty for a method that depends on nothing outside of Gatehouse. */
  readiness(): readonly SignInCheck[]
  /** Ends fetches and timers. */
  close(): void
}

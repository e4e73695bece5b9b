import type { ClientConnection, RawHeaders } from '../http/exchange.ts'

/** apiserver `user.Info`: who asks. Values are exactly the bytes asserted upstream. */
export interface UserInfo {
  /** Never empty. */
  readonly username: string
  readonly uid: string
  /** Without duplicates. `system:authenticated` is added by the union. */
  readonly groups: readonly string[]
  /**
   * Present when the user may be in more groups than are asserted: `unknown` when the credential does
   * not state its groups. Deny rules count them, allow rules do not, and the API server does not see
   * them.
   */
  readonly unassertedGroups?: UnassertedGroups
  readonly extra: Readonly<Record<string, readonly string[]>>
}

/** Names of groups, or `unknown`: it may be any group. */
export type UnassertedGroups = 'unknown' | readonly string[]

/** The only parts of a request that an authenticator may look at. */
export interface Credentials {
  readonly connection: ClientConnection
  /** The value of the one `Authorization` header, undefined when there is none. */
  readonly authorization: string | undefined
  /** The token of a `base64url.bearer.authorization.k8s.io.*` WebSocket subprotocol, decoded. */
  readonly webSocketToken: string | undefined
  /** The header fields as received, in which a front proxy names the user. */
  readonly rawHeaders: RawHeaders
}

/** The sign-in at an issuer that a credential comes from, as the issuer names it. */
export interface SignInOrigin {
  /** The URL of the issuer. */
  readonly issuer: string
  /** `sub`. */
  readonly subject: string | undefined
  /** `sid`: the session at the issuer; undefined for an issuer that does not name its sessions. */
  readonly session: string | undefined
  /** When the token was issued (`iat`), in milliseconds since the epoch. */
  readonly issuedAt: number | undefined
  /** As `issuedAt`; of a certificate that was issued for a token, when that was. */
  readonly credentialIssuedAt: number
}

/** The user, the method that authenticated the user, and annotations for the audit record. */
export interface Authentication {
  readonly user: UserInfo
  /** The `SignIn.method` that authenticated the user. */
  readonly method: string
  /** Where the identity comes from, without any credential: issuer, certificate digest, jti. */
  readonly annotations: Readonly<Record<string, string>>
  /** When the credential expires, in milliseconds since the epoch; absent when that is not known. */
  readonly expiresAt?: number
  /** The `jti` of the token, or of the token that a certificate was issued for; for locks. */
  readonly tokenID?: string
  /** Absent for a credential that does not come from a sign-in at an OIDC issuer. */
  readonly origin?: SignInOrigin
  /** When the user signed in, in milliseconds since the epoch; absent when the credential does not say. */
  readonly signedInAt?: number
  /**
   * The client certificate with which alone the credential is valid, as the SHA-256 of its DER in
   * lower-case hex (RFC 8705); absent for a credential that is valid by itself.
   */
  readonly boundTo?: string
}

/**
 * Authenticates a request. `undefined`: it carries no credential.
 *
 * @throws StatusError 401 for a credential that is rejected, 403 for a reserved identity
 */
export type Authenticator = (
  credentials: Credentials,
) => Authentication | undefined | Promise<Authentication | undefined>

import type { ClientConnection } from '../http/exchange.ts'

/** apiserver `user.Info`: who asks. Values are exactly the bytes asserted upstream. */
export interface UserInfo {
  /** Never empty. */
  readonly username: string
  readonly uid: string
  /** Without duplicates. `system:authenticated` is added by the union. */
  readonly groups: readonly string[]
  readonly extra: Readonly<Record<string, readonly string[]>>
}

/** The only parts of a request that an authenticator may look at. */
export interface Credentials {
  readonly connection: ClientConnection
  /** The value of the one `Authorization` header, undefined when there is none. */
  readonly authorization: string | undefined
  /** The token of a `base64url.bearer.authorization.k8s.io.*` WebSocket subprotocol, decoded. */
  readonly webSocketToken: string | undefined
}

/** Who was recognised and by what, with what the audit record says of it. */
export interface Authentication {
  readonly user: UserInfo
  /** `x509` or `oidc`. */
  readonly method: string
  /** How the identity came about, without any credential: issuer, certificate digest, jti. */
  readonly annotations: Readonly<Record<string, string>>
}

/**
 * Value: recognised. `undefined`: no credential of mine here. Throws `StatusError` (401, or 403 for
 * a reserved identity): a credential of mine, and bad; no other authenticator is asked then.
 */
export type Authenticator = (
  credentials: Credentials,
) => Authentication | undefined | Promise<Authentication | undefined>

/** What an authentication method gives to the assembly, and gets from it. */
import type { X509Certificate } from 'node:crypto'

import type { AuthenticationConfiguration } from '../authentication/oidc/authentication-config.ts'
import type { OidcSignIn } from '../authentication/oidc/oidc.ts'
import type { SourcePrefixes } from '../authentication/issued/issued.ts'
import type { SignIn } from '../authentication/sign-in.ts'
import type { ClientTrust } from '../authentication/x509/client-ca.ts'
import type { ReviewClient } from '../cluster/review-client.ts'
import type { ProxyFor } from '../config/egress-proxy.ts'
import type { ConfigurationReading } from '../config/load.ts'
import type { Configuration } from '../config/schema.ts'
import type { ClientConnection } from '../http/exchange.ts'
import type { UserInfo } from '../authentication/authenticator.ts'
import type { CertificateService } from '../issuance/certificate-service.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Part } from './reloadable.ts'

export type AuthenticationOptions = Configuration['authentication']

export interface SignInEffects {
  /** For connections to issuers. */
  readonly proxyFor: ProxyFor
  readonly log: Log
  readonly metrics: Metrics
  /** A user was refused another certificate, or another attempt after failed passwords. */
  readonly onLimited: (limit: 'certificates' | 'passwords') => void
  /** Asks the API server as Gatehouse. */
  readonly reviewClient: Pick<ReviewClient, 'post' | 'get' | 'authorities'>
  /** Passes a client CA bundle to the listener, which requests client certificates issued under it. */
  readonly trustClients: (clientTrust: ClientTrust) => void
  /** As `trustClients`, for Gatehouse's own CAs (PEM). */
  readonly trustIssued: (issuingCA: string) => void
  /** The client CAs in effect, PEM; empty when there are none. */
  readonly clientCA: () => string
  /** Which client CA bundle is in effect; certificates that were judged by another one are void. */
  readonly trustGeneration: () => number
  /** The certificates that the client of a connection sent, its own first. */
  readonly chainOf: (connection: ClientConnection) => readonly X509Certificate[]
  /** The issuers in effect, for the discovery document and the pages. */
  readonly publishIssuers: (
    configuration: AuthenticationConfiguration,
    verifyLogoutToken: OidcSignIn['verifyLogoutToken'],
  ) => void
  /** What names begin with of users of the issuer with a URL; undefined if it is not in effect. */
  readonly issuerPrefixes: (url: string) => SourcePrefixes | undefined
  /** What issues certificates, for the handler that serves it. */
  readonly publishCertificates: (certificates: CertificateService) => void
  /**
   * Checks a user whom a password sign-in, which is not a `SignIn` itself, has named on behalf of `own`.
   * Returns the user as it may be asserted.
   *
   * @throws StatusError 403 for an identity that must not be asserted
   */
  readonly guardUser: (user: UserInfo, own: SignIn) => UserInfo
  /** A method may no longer accept what it accepted before: running requests are rechecked. */
  readonly onRevoked: (signIn: SignIn) => void
}

export interface SignInKind<T> {
  /** Undefined when the configuration does not enable it, or names a file that cannot be read. */
  part(reading: ConfigurationReading): Part<T> | undefined
  create(
    options: AuthenticationOptions,
    effects: SignInEffects & { readonly revoked: () => void },
  ): { readonly signIn: SignIn; readonly update: (next: T) => void }
}

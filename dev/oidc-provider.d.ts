/** Types for the parts of the npm package oidc-provider 9 that dev/identity-provider.ts uses. */
declare module 'oidc-provider' {
  import type { IncomingMessage, RequestListener } from 'node:http'

  import type { fetch } from 'undici'

  /** Stores artifacts (grants, tokens); the provider creates one adapter per kind. */
  export interface Adapter {
    upsert(id: string, payload: object, expiresIn?: number): Promise<void>
    find(id: string): Promise<object | undefined>
    findByUserCode(userCode: string): Promise<object | undefined>
    findByUid(uid: string): Promise<object | undefined>
    consume(id: string): Promise<void>
    destroy(id: string): Promise<void>
    revokeByGrantId(grantId: string): Promise<void>
  }

  export interface Feature {
    readonly enabled: boolean
  }

  export interface Configuration {
    adapter: (kind: string) => Adapter
    clients: readonly object[]
    claims: Record<string, readonly string[]>
    cookies: { keys: readonly string[] }
    conformIdTokenClaims: boolean
    features: {
      readonly backchannelLogout: Feature
      readonly devInteractions: Feature
      readonly deviceFlow: Feature
      readonly dPoP: Feature
      readonly revocation: Feature & {
        allowedPolicy: (
          context: unknown,
          client: { clientId: string },
          token: { clientId: string },
        ) => boolean
      }
      readonly mTLS: Feature & {
        certificateBoundAccessTokens: boolean
        /** PEM; undefined when the client has none. */
        getCertificate: (context: { req: IncomingMessage }) => string | undefined
      }
      /** Access tokens for a resource may be JWTs (RFC 8707). */
      readonly resourceIndicators: Feature & {
        defaultResource: () => string
        useGrantedResource: () => boolean
        getResourceServerInfo: () => object
      }
      readonly rpInitiatedLogout: Feature & {
        logoutSource: (context: { body: string }, form: string) => void
      }
    }
    /** More members of the metadata. */
    discovery: object
    /** More claims of access tokens that are JWTs. */
    extraTokenClaims: (context: unknown, token: { accountId: string }) => object | undefined
    /** For what the provider itself sends, such as logout tokens. */
    fetch: typeof fetch
    findAccount: (
      context: unknown,
      id: string,
    ) => { accountId: string; claims: () => object } | undefined
    jwks: { keys: readonly object[] }
    rotateRefreshToken: (context: { oidc: { client: { clientAuthMethod: string } } }) => boolean
    scopes: readonly string[]
    ttl: Record<string, number>
  }

  export class Provider {
    constructor(issuer: string, configuration: Configuration)
    callback(): RequestListener
    readonly Client: { find(id: string): Promise<object | undefined> }
    readonly Grant: new (properties: { accountId: string; clientId: string }) => {
      addOIDCScope(scope: string): void
      save(): Promise<string>
    }
    readonly RefreshToken: new (properties: {
      accountId: string
      client: object
      grantId: string
      gty: string
      scope: string
    }) => { save(): Promise<string> }
  }
}

/**
 * Gatehouse as a confidential client of an issuer: authorization code with PKCE (RFC 6749, RFC 7636,
 * OpenID Connect Core). The protocol is openid-client's; ID tokens are judged elsewhere, as those of the
 * Kubernetes API are.
 */
import * as openid from 'openid-client'

import type { Issuer } from '../../authentication/oidc/authentication-config.ts'
import { createIssuerConnection } from '../../authentication/oidc/issuer-connection.ts'
import type { ProxyFor } from '../../config/egress-proxy.ts'
import { derivedScopes } from '../derived-scopes.ts'
import { fetchOver } from './issuer-fetch.ts'
import { CALLBACK_PATH, SIGNED_OUT_PATH } from './paths.ts'
import type { ClientCredential, PagesOptions } from './secrets.ts'

export interface RelyingPartyOptions {
  readonly pages: PagesOptions
  readonly issuer: Issuer
  readonly credential: ClientCredential
}

export interface RelyingPartyEffects {
  readonly proxyFor: ProxyFor
  /** Milliseconds, monotonic. */
  readonly now: () => number
}

/** What the browser must bring back: kept in its cookie. */
export interface PendingSignIn {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  /** For a sign-in that ends with a client certificate. */
  readonly certificate?: PendingCertificate
}

export interface PendingCertificate {
  /** The public key of a request that was checked: the DER of a SubjectPublicKeyInfo, base64url. */
  readonly spki: string
  /** The user whose session asked for it, as the session names it. */
  readonly subject: string
}

export interface SignedIn {
  readonly idToken: string
  readonly subject: string
  /** The issuer's name for its session (`sid`). */
  readonly session: string | undefined
}

/** Every method throws Error, some of openid-client, when the issuer cannot be used or refuses. */
export interface RelyingParty {
  /**
   * The address at which the user signs in.
   *
   * @param options.maxAge seconds after which the issuer has the user sign in anew; undefined: as it likes
   */
  begin(options?: {
    readonly maxAge?: number
  }): Promise<{ readonly url: URL; readonly pending: PendingSignIn }>
  /** @param query of the request with which the browser came back, with its `?` */
  redeem(query: string, pending: PendingSignIn): Promise<SignedIn>
  /** Where the issuer ends its session; undefined when it has no such address. */
  signOutURL(idToken: string | undefined): Promise<URL | undefined>
  close(): void
}

const METADATA_LIFETIME_MS = 3_600_000
/** Clients that are not authenticated cause fetches, so one that failed is not repeated at once. */
const FAILURE_LIFETIME_MS = 5_000

/** Creates a client of the issuer. Nothing is sent before the first call. */
export function createRelyingParty(
  { pages, issuer, credential }: RelyingPartyOptions,
  { proxyFor, now }: RelyingPartyEffects,
): RelyingParty {
  const { certificateAuthority, access } = issuer
  const connection = createIssuerConnection({
    ...{ certificateAuthority, proxyFor },
    proxy: access?.proxy,
  })
  let metadata: { readonly loading: Promise<openid.Configuration>; until: number } | undefined

  function configuration(): Promise<openid.Configuration> {
    if (metadata !== undefined && now() < metadata.until) return metadata.loading
    const started = { loading: discover(), until: Infinity }
    metadata = started
    started.loading.then(
      () => (started.until = now() + METADATA_LIFETIME_MS),
      () => (started.until = now() + FAILURE_LIFETIME_MS),
    )
    return started.loading
  }

  async function discover(): Promise<openid.Configuration> {
    const found = await openid.discovery(
      new URL(issuer.discoveryUrl ?? issuer.url.replace(/\/$/, '') + WELL_KNOWN),
      pages.clientID,
      undefined,
      await clientAuthentication(credential, pages.privateKeyID),
      { [openid.customFetch]: fetchOver(connection) },
    )
    const { issuer: named } = found.serverMetadata()
    if (named !== issuer.url) throw new Error(`the metadata of ${issuer.url} names another issuer`)
    return found
  }

  return {
    async begin({ maxAge } = {}) {
      const client = await configuration()
      const pending = {
        state: openid.randomState(),
        nonce: openid.randomNonce(),
        verifier: openid.randomPKCECodeVerifier(),
      }
      const url = openid.buildAuthorizationUrl(client, {
        ...Object.fromEntries(pages.extraParameters.map(({ name, value }) => [name, value])),
        ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
        redirect_uri: pages.url + CALLBACK_PATH,
        scope: scopesFor(client, pages, issuer).join(' '),
        state: pending.state,
        nonce: pending.nonce,
        code_challenge: await openid.calculatePKCECodeChallenge(pending.verifier),
        code_challenge_method: 'S256',
      })
      return { url, pending }
    },
    async redeem(query, { state, nonce, verifier }) {
      const client = await configuration()
      const tokens = await openid.authorizationCodeGrant(
        client,
        new URL(pages.url + CALLBACK_PATH + query),
        { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier },
      )
      const claims = tokens.claims()
      if (tokens.id_token === undefined || claims === undefined) {
        throw new Error('the issuer sent no ID token')
      }
      const { sid } = claims
      return {
        idToken: tokens.id_token,
        subject: claims.sub,
        session: typeof sid === 'string' ? sid : undefined,
      }
    },
    async signOutURL(idToken) {
      const client = await configuration()
      if (client.serverMetadata().end_session_endpoint === undefined) return undefined
      return openid.buildEndSessionUrl(client, {
        post_logout_redirect_uri: pages.url + SIGNED_OUT_PATH,
        ...(idToken === undefined ? {} : { id_token_hint: idToken }),
      })
    },
    close: () => connection.close(),
  }
}

const WELL_KNOWN = '/.well-known/openid-configuration'

async function clientAuthentication(
  credential: ClientCredential,
  keyID: string | undefined,
): Promise<openid.ClientAuth> {
  if ('secret' in credential) return bySecret(credential.secret)
  const { privateKey, algorithm } = credential
  const key = privateKey.toCryptoKey(algorithm, false, ['sign'])
  return openid.PrivateKeyJwt(keyID === undefined ? key : { key, kid: keyID })
}

/** RFC 8414 section 2: an issuer that lists no methods has client_secret_basic. */
function bySecret(secret: string): openid.ClientAuth {
  const [basic, post] = [openid.ClientSecretBasic(secret), openid.ClientSecretPost(secret)]
  return (issuer, ...rest) => {
    const { token_endpoint_auth_methods_supported: supported = ['client_secret_basic'] } = issuer
    const authenticate = supported.includes('client_secret_basic') ? basic : post
    authenticate(issuer, ...rest)
  }
}

/** Without offline_access: a page needs no refresh token. */
function scopesFor(
  client: openid.Configuration,
  { scopes }: PagesOptions,
  issuer: Issuer,
): readonly string[] {
  const supported = client.serverMetadata().scopes_supported ?? []
  const derived = (): readonly string[] =>
    derivedScopes(issuer).filter((scope) => supported.includes(scope))
  return [...new Set(['openid', ...(scopes ?? derived())])]
}

/**
 * An identity provider for development: the npm package oidc-provider in this process, over HTTPS on
 * loopback. Its accounts are fixed at the start, and its sign-in page takes any password.
 */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { LookupFunction } from 'node:net'
import { TLSSocket } from 'node:tls'
import { exportJWK, generateKeyPair } from 'jose'
import type { Configuration, Provider } from 'oidc-provider'
import { Agent, fetch as send, request } from 'undici'
import type { CertificateFiles } from '../certs-dev/files.ts'
import { createAdapters } from './identity-provider-adapter.ts'
import { listenOnLoopback, LOOPBACK } from './loopback.ts'

/** An account, as the claims of its ID tokens. */
export interface DevelopmentAccount {
  /** The claim `sub`. */
  readonly subject: string
  readonly preferredUsername: string
  readonly email: string
  readonly groups: readonly string[]
}

export interface IdentityProviderOptions {
  readonly accounts: readonly DevelopmentAccount[]
  /** The serving certificate. */
  readonly serving: CertificateFiles
  /** Path of the certificate (PEM) of the authority that signed {@link serving}. */
  readonly caFile: string
  /** Lifetime of an ID token in seconds. Default: 12 hours. */
  readonly idTokenSeconds?: number
  /**
   * Whether access tokens of the command line are JWTs that are bound to the client's certificate (RFC 8705). Its
   * endpoints for clients with certificates are on a port of their own.
   */
  readonly bindsAccessTokens?: boolean
  /** A Gatehouse's sign-in pages, which get a client of their own. */
  readonly pages?: PagesOfGatehouse
}

export interface PagesOfGatehouse {
  /** Their origin. */
  readonly url: string
  /** The CA of their serving certificate (PEM), which may be made after the provider has started. */
  readonly ca: () => string
  /** With which the client authenticates (private_key_jwt), in place of a secret. */
  readonly publicKey?: object
}

export interface IdentityProvider {
  /** `https://127.0.0.1:PORT`: the claim `iss`. */
  readonly issuer: string
  /** The client ID for which ID tokens are issued: the claim `aud`. */
  readonly clientId: string
  /** The public client of `gatehouse login`: another `aud`. */
  readonly commandLineClientId: string
  /** A public client that has a client secret all the same, as Google's for desktop applications. */
  readonly desktopClient: { readonly id: string; readonly secret: string }
  /** The confidential client of the sign-in pages: another `aud`. */
  readonly pagesClientId: string
  readonly pagesClientSecret: string
  /** The number of requests so far, by path. */
  readonly requests: ReadonlyMap<string, number>
  /**
   * Gets a new ID token of an account from the token endpoint (grant `refresh_token`, RFC 6749
   * section 6). Throws when the account does not exist or the provider refuses.
   */
  idToken(subject: string): Promise<string>
  /** Stops the provider and closes every connection. */
  close(): Promise<void>
}

const CLIENT_ID = 'gatehouse-development'
const COMMAND_LINE_CLIENT_ID = 'gatehouse-command-line'
const DESKTOP_CLIENT = { id: 'gatehouse-desktop', secret: 'published-to-everybody' }
const PAGES_CLIENT_ID = 'gatehouse-pages'
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
const SCOPE = 'openid offline_access profile email groups'
const HOUR_SECONDS = 60 * 60
const YEAR_SECONDS = 365 * 24 * HOUR_SECONDS

/** Starts an identity provider on a free port of 127.0.0.1, with a new signing key. */
export async function startIdentityProvider(
  options: IdentityProviderOptions,
): Promise<IdentityProvider> {
  const [cert, key, ca] = await Promise.all([
    readFile(options.serving.certFile),
    readFile(options.serving.keyFile),
    readFile(options.caFile),
  ])
  const server = createServer({ cert, key })
  const mutual = createServer({ cert, key, requestCert: true, rejectUnauthorized: false })
  const issuer = `https://${LOOPBACK}:${await listenOnLoopback(server)}`
  const aliases =
    options.bindsAccessTokens === true
      ? aliasesAt(`https://${LOOPBACK}:${await listenOnLoopback(mutual)}`)
      : undefined
  const servers = aliases === undefined ? [server] : [server, mutual]
  const [clientSecret, pagesClientSecret] = [newSecret(), newSecret()]
  const agent = new Agent({ connect: { ca } })
  try {
    const secrets = { clientSecret, pagesClientSecret }
    const provider = await createProvider(issuer, secrets, options, aliases)
    const handle = provider.callback()
    const requests = new Map<string, number>()
    for (const each of servers) {
      each.on('request', (incoming, response) => {
        const path = (incoming.url ?? '').split('?', 1)[0] ?? ''
        requests.set(path, (requests.get(path) ?? 0) + 1)
        handle(incoming, response)
      })
    }
    const refreshTokens = await signInAll(provider, options.accounts)
    return {
      issuer,
      clientId: CLIENT_ID,
      commandLineClientId: COMMAND_LINE_CLIENT_ID,
      desktopClient: DESKTOP_CLIENT,
      pagesClientId: PAGES_CLIENT_ID,
      pagesClientSecret,
      requests,
      idToken: async (subject) => {
        const refreshToken = refreshTokens.get(subject)
        if (refreshToken === undefined) throw new Error(`account "${subject}" does not exist`)
        return requestIdToken(agent, issuer, clientSecret, refreshToken)
      },
      close: async () => {
        await agent.destroy()
        for (const each of servers) {
          each.closeAllConnections()
          await new Promise((resolve) => each.close(resolve))
        }
      },
    }
  } catch (error) {
    for (const each of servers) each.close()
    throw error
  }
}

async function createProvider(
  issuer: string,
  {
    clientSecret,
    pagesClientSecret,
  }: { readonly clientSecret: string; readonly pagesClientSecret: string },
  options: IdentityProviderOptions,
  aliases: object | undefined,
): Promise<Provider> {
  const { Provider } = await quietly(() => import('oidc-provider'))
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const signingKey = { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig' }
  const accounts = new Map(options.accounts.map((account) => [account.subject, account]))
  const accountOf = (id: string): DevelopmentAccount | undefined =>
    options.accounts.find(({ preferredUsername }) => preferredUsername === id) ?? accounts.get(id)
  const configuration: Configuration = {
    adapter: createAdapters(),
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: clientSecret,
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`${issuer}/no-browser-here`],
      },
      {
        // For `gatehouse login`. A native client may use any port of loopback (RFC 8252 section 7.3).
        client_id: COMMAND_LINE_CLIENT_ID,
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
        redirect_uris: ['http://localhost', 'http://127.0.0.1'],
        ...(aliases === undefined ? {} : { tls_client_certificate_bound_access_tokens: true }),
      },
      {
        client_id: DESKTOP_CLIENT.id,
        client_secret: DESKTOP_CLIENT.secret,
        token_endpoint_auth_method: 'client_secret_post',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: ['http://localhost', 'http://127.0.0.1'],
      },
      ...(options.pages === undefined ? [] : [pagesClient(options.pages, pagesClientSecret)]),
    ],
    claims: {
      profile: ['preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    // kube-apiserver and Gatehouse read only the ID token, so it must contain every claim.
    conformIdTokenClaims: false,
    cookies: { keys: [newSecret()] },
    discovery: aliases === undefined ? {} : { mtls_endpoint_aliases: aliases },
    extraTokenClaims(_context, { accountId }) {
      const account = accountOf(accountId)
      return account && { ...claimsOf(account), sub: undefined }
    },
    features: {
      backchannelLogout: { enabled: true },
      // A page that takes the name of an account, and any password.
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      dPoP: { enabled: true },
      mTLS: {
        enabled: aliases !== undefined,
        certificateBoundAccessTokens: aliases !== undefined,
        getCertificate: ({ req: { socket } }) =>
          socket instanceof TLSSocket ? socket.getPeerX509Certificate()?.toString() : undefined,
      },
      resourceIndicators: {
        enabled: aliases !== undefined,
        defaultResource: () => 'https://gatehouse.example.com',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          ...{ accessTokenFormat: 'jwt', audience: COMMAND_LINE_CLIENT_ID, scope: '' },
          accessTokenTTL: options.idTokenSeconds ?? HOUR_SECONDS,
        }),
      },
      revocation: {
        enabled: true,
        allowedPolicy: (_context, { clientId }, token) => token.clientId === clientId,
      },
      rpInitiatedLogout: { enabled: true, logoutSource: writeLogoutPage },
    },
    fetch: fetchOnLoopback(options.pages),
    findAccount: (_context, id) => {
      const account = accountOf(id)
      // The provider compares what it asked for with what it gets: the name that was entered, or a subject.
      return account && { accountId: id, claims: () => claimsOf(account) }
    },

    jwks: { keys: [signingKey] },
    rotateRefreshToken: ({ oidc }) => oidc.client.clientAuthMethod === 'none',
    scopes: SCOPE.split(' '),
    ttl: {
      AccessToken: 60,
      DeviceCode: HOUR_SECONDS,
      Grant: YEAR_SECONDS,
      IdToken: options.idTokenSeconds ?? 12 * HOUR_SECONDS,
      Interaction: HOUR_SECONDS,
      RefreshToken: YEAR_SECONDS,
      Session: 12 * HOUR_SECONDS,
    },
  }
  return quietly(() => new Provider(issuer, configuration))
}

/** The endpoints that the command line sends its certificate to (RFC 8705 section 5). */
function aliasesAt(origin: string): object {
  return {
    token_endpoint: `${origin}/token`,
    device_authorization_endpoint: `${origin}/device/auth`,
    revocation_endpoint: `${origin}/token/revocation`,
  }
}

/** Asks, as the provider's own page does, which says on standard output that it should be replaced. */
function writeLogoutPage(context: { body: string }, form: string): void {
  context.body = `<!doctype html><html lang="en"><title>Sign out</title><body>
<h1>Do you want to sign out?</h1>${form}
<button type="submit" form="op.logoutForm" name="logout" value="yes" autofocus>Yes, sign me out</button>
</body></html>`
}

function newSecret(): string {
  return randomBytes(32).toString('base64url')
}

function pagesClient({ url, publicKey }: PagesOfGatehouse, secret: string): object {
  return {
    client_id: PAGES_CLIENT_ID,
    ...(publicKey === undefined
      ? { client_secret: secret }
      : { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [publicKey] } }),
    grant_types: ['authorization_code'],
    redirect_uris: [`${url}/gatehouse/callback`],
    post_logout_redirect_uris: [`${url}/gatehouse/signed-out`],
    backchannel_logout_uri: `${url}/gatehouse/backchannel-logout`,
    backchannel_logout_session_required: true,
  }
}

/** Not every resolver knows the names below `localhost` (RFC 6761 section 6.3). */
function fetchOnLoopback(pages: PagesOfGatehouse | undefined): typeof send {
  const lookup: LookupFunction = (_name, _options, callback) => {
    callback(null, [{ address: LOOPBACK, family: 4 }])
  }
  return async (url, init) => {
    const connect = { lookup, ...(pages === undefined ? {} : { ca: pages.ca() }) }
    const dispatcher = new Agent({ connect })
    try {
      return await send(url, { ...init, dispatcher })
    } finally {
      void dispatcher.close()
    }
  }
}

function claimsOf(account: DevelopmentAccount): object {
  return {
    sub: account.subject,
    preferred_username: account.preferredUsername,
    email: account.email,
    email_verified: true,
    groups: account.groups,
  }
}

/**
 * Creates the grant and the refresh token that each account would have after signing in on the login
 * page and giving consent. Returns the refresh tokens by subject.
 */
async function signInAll(
  provider: Provider,
  accounts: readonly DevelopmentAccount[],
): Promise<Map<string, string>> {
  const client = await provider.Client.find(CLIENT_ID)
  if (client === undefined) throw new Error('the development client is not registered')
  const entries = accounts.map(async ({ subject }): Promise<[string, string]> => {
    const grant = new provider.Grant({ accountId: subject, clientId: CLIENT_ID })
    grant.addOIDCScope(SCOPE)
    const refreshToken = new provider.RefreshToken({
      accountId: subject,
      client,
      grantId: await grant.save(),
      gty: 'authorization_code',
      scope: SCOPE,
    })
    return [subject, await refreshToken.save()]
  })
  return new Map(await Promise.all(entries))
}

async function requestIdToken(
  dispatcher: Agent,
  issuer: string,
  clientSecret: string,
  refreshToken: string,
): Promise<string> {
  const { statusCode, body } = await request(`${issuer}/token`, {
    dispatcher,
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${CLIENT_ID}:${clientSecret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
    }).toString(),
  })
  const response = (await body.json()) as { id_token?: unknown }
  if (statusCode !== 200 || typeof response.id_token !== 'string') {
    throw new Error(
      `the identity provider did not issue an ID token: ${statusCode} ${JSON.stringify(response)}`,
    )
  }
  return response.id_token
}

/** What oidc-provider warns of, although nobody has to do anything about it here. */
const EXPECTED_WARNINGS = /Unsupported runtime|development-only feature devInteractions/

/** Runs a step without the warnings that are expected. */
async function quietly<T>(step: () => T | Promise<T>): Promise<T> {
  const { warn } = console
  console.warn = (...args: unknown[]) => {
    if (!EXPECTED_WARNINGS.test(String(args[0]))) warn(...args)
  }
  try {
    return await step()
  } finally {
    console.warn = warn
  }
}

/**
 * A development identity provider: the npm package oidc-provider in this process, over https on
 * loopback, with users that are given when it starts and forgotten when it ends.
 */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import type { Provider } from 'oidc-provider'
import { Agent, request } from 'undici'
import type { CertificateFiles } from '../certs-dev/generate.ts'
import { createAdapters } from './identity-provider-adapter.ts'

/** Somebody who can be signed in, by the claims that the ID token will hold. */
export interface DevelopmentAccount {
  /** The claim `sub`. */
  readonly subject: string
  readonly preferredUsername: string
  readonly email: string
  readonly groups: readonly string[]
}

export interface IdentityProviderOptions {
  readonly accounts: readonly DevelopmentAccount[]
  /** What it serves with. */
  readonly serving: CertificateFiles
  /** PEM file of the authority that signed {@link serving}. */
  readonly caFile: string
  /** Life of an ID token in seconds; 12 hours unless said otherwise. */
  readonly idTokenSeconds?: number
}

export interface IdentityProvider {
  /** `https://127.0.0.1:PORT`: the claim `iss`. */
  readonly issuer: string
  /** The client that ID tokens are for: the claim `aud`. */
  readonly clientId: string
  /**
   * A new ID token of an account, asked for at the token endpoint (grant `refresh_token`, RFC 6749
   * section 6). Throws when there is no such account or the provider refuses.
   */
  idToken(subject: string): Promise<string>
  /** Ends it with every connection. */
  close(): Promise<void>
}

const clientId = 'gatehouse-development'
const scope = 'openid offline_access profile email groups'
const host = '127.0.0.1'
/** As good as for ever, in seconds. */
const longest = 365 * 24 * 60 * 60

/** Starts it on a free port of 127.0.0.1, with a signing key made for the occasion. */
export async function startIdentityProvider(
  options: IdentityProviderOptions,
): Promise<IdentityProvider> {
  const [cert, key, ca] = await Promise.all(
    [options.serving.certFile, options.serving.keyFile, options.caFile].map((file) =>
      readFile(file, 'utf8'),
    ),
  )
  if (cert === undefined || key === undefined || ca === undefined) throw new Error('no certificate')
  const server = createServer({ cert, key })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, host, resolve)
  })
  const issuer = `https://${host}:${(server.address() as AddressInfo).port}`
  const clientSecret = randomBytes(32).toString('base64url')
  const agent = new Agent({ connect: { ca } })
  try {
    const provider = await createProvider(issuer, clientSecret, options)
    server.on('request', provider.callback())
    const refreshTokens = await signInAll(provider, options.accounts)
    return {
      issuer,
      clientId,
      idToken: async (subject) => {
        const refreshToken = refreshTokens.get(subject)
        if (refreshToken === undefined) throw new Error(`there is no account "${subject}"`)
        return askForIdToken(agent, issuer, clientSecret, refreshToken)
      },
      close: async () => {
        await agent.destroy()
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  } catch (error) {
    server.close()
    throw error
  }
}

async function createProvider(
  issuer: string,
  clientSecret: string,
  options: IdentityProviderOptions,
): Promise<Provider> {
  const { Provider } = await importQuietly()
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const signingKey = { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig' }
  const accounts = new Map(options.accounts.map((account) => [account.subject, account]))
  const provider = new Provider(issuer, {
    adapter: createAdapters(),
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`${issuer}/no-browser-here`],
      },
    ],
    claims: {
      profile: ['preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    // kube-apiserver and Gatehouse read the ID token and nothing else: every claim belongs into it.
    conformIdTokenClaims: false,
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_context, id) => {
      const account = accounts.get(id)
      return account && { accountId: id, claims: () => claimsOf(account) }
    },
    jwks: { keys: [signingKey] },
    rotateRefreshToken: false,
    scopes: scope.split(' '),
    ttl: {
      AccessToken: 60,
      Grant: longest,
      IdToken: options.idTokenSeconds ?? 12 * 60 * 60,
      RefreshToken: longest,
    },
  })
  return provider
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
 * Signs everybody in, as if each had been to the login page and consented: what is left of that is
 * a grant and a refresh token.
 */
async function signInAll(
  provider: Provider,
  accounts: readonly DevelopmentAccount[],
): Promise<Map<string, string>> {
  const client = await provider.Client.find(clientId)
  if (client === undefined) throw new Error('the development client is not registered')
  const entries = accounts.map(async ({ subject }): Promise<[string, string]> => {
    const grant = new provider.Grant({ accountId: subject, clientId })
    grant.addOIDCScope(scope)
    const refreshToken = new provider.RefreshToken({
      accountId: subject,
      client,
      grantId: await grant.save(),
      gty: 'authorization_code',
      scope,
    })
    return [subject, await refreshToken.save()]
  })
  return new Map(await Promise.all(entries))
}

async function askForIdToken(
  dispatcher: Agent,
  issuer: string,
  clientSecret: string,
  refreshToken: string,
): Promise<string> {
  const { statusCode, body } = await request(`${issuer}/token`, {
    dispatcher,
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
    }).toString(),
  })
  const answer = (await body.json()) as { id_token?: unknown }
  if (statusCode !== 200 || typeof answer.id_token !== 'string') {
    throw new Error(
      `the identity provider gave no ID token: ${statusCode} ${JSON.stringify(answer)}`,
    )
  }
  return answer.id_token
}

/**
 * oidc-provider warns when the Node that loads it is not marked as LTS (yet); the newcomer can do
 * nothing about that.
 */
async function importQuietly(): Promise<typeof import('oidc-provider')> {
  const { warn } = console
  console.warn = (...args: unknown[]) => {
    if (!String(args[0]).includes('Unsupported runtime')) warn(...args)
  }
  try {
    return await import('oidc-provider')
  } finally {
    console.warn = warn
  }
}

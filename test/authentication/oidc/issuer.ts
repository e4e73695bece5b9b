/**
 * An OpenID Connect issuer on loopback that a test can make misbehave, and tokens signed by its
 * keys.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

import { exportJWK, SignJWT, type JWK } from 'jose'
import { expect } from 'vitest'

import { createAuthority } from '../../../certs-dev/pki.ts'
import type {
  AuthenticationConfiguration,
  Issuer,
} from '../../../src/authentication/oidc/authentication-config.ts'
import { StatusError } from '../../../src/status.ts'

export interface SigningKey {
  readonly kid: string
  readonly algorithm: string
  readonly privateKey: KeyObject
  readonly publicJwk: JWK
}

const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

/** Creates a private key for the algorithm. RSA keys take a while. */
export function createPrivateKey(algorithm: string): KeyObject {
  const namedCurve = CURVES[algorithm]
  return namedCurve === undefined
    ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    : generateKeyPairSync('ec', { namedCurve }).privateKey
}

/** Creates a key for an algorithm; the JWK has `kid`, `alg` and `use`. */
export async function createSigningKey(
  kid: string,
  algorithm = 'ES256',
  privateKey = createPrivateKey(algorithm),
): Promise<SigningKey> {
  const publicJwk = await exportJWK(createPublicKey(privateKey))
  return {
    kid,
    algorithm,
    privateKey,
    publicJwk: { ...publicJwk, kid, alg: algorithm, use: 'sig' },
  }
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

export interface TestIssuer {
  readonly url: string
  readonly certificateAuthority: string
  /** The keys of the published key set. */
  keys: JWK[]
  /** Members that are added to the discovery document or replace its usual ones. */
  discovery: Record<string, unknown>
  /** Handlers by path, which replace the issuer's own. */
  readonly overrides: Map<string, Handler>
  /** Requests so far by path. */
  readonly requests: Map<string, number>
  readonly keySetFetches: number
  close(): Promise<void>
}

export const DISCOVERY_PATH = '/.well-known/openid-configuration'
export const KEYS_PATH = '/keys'

/** One authority for all issuers of a test file. */
const tls = createAuthority({ commonName: 'issuers' }).then(async (authority) => ({
  certificateAuthority: authority.certificatePem,
  server: await authority.issue({
    commonName: 'issuer',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
  }),
}))

/** Starts an issuer on a free port. */
export async function startIssuer(keys: JWK[]): Promise<TestIssuer> {
  const { certificateAuthority, server } = await tls
  const requests = new Map<string, number>()
  const overrides = new Map<string, Handler>()
  const listener = createServer({ cert: server.certificatePem, key: server.keyPem }, handle)
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? ''
    requests.set(path, (requests.get(path) ?? 0) + 1)
    const override = overrides.get(path)
    if (override !== undefined) override(request, response)
    else if (path === DISCOVERY_PATH) {
      sendJson(response, { issuer: url, jwks_uri: `${url}${KEYS_PATH}`, ...issuer.discovery })
    } else if (path === KEYS_PATH) sendJson(response, { keys: issuer.keys })
    else response.writeHead(404).end()
  }

  const issuer: TestIssuer = {
    url,
    certificateAuthority,
    keys,
    discovery: {},
    overrides,
    requests,
    get keySetFetches() {
      return requests.get(KEYS_PATH) ?? 0
    },
    async close() {
      listener.closeAllConnections()
      listener.close()
      await once(listener, 'close')
    },
  }
  return issuer
}

export function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

/** Configures an issuer: username `sub` and groups `groups`, both with the prefix `oidc:`. */
export function issuerConfiguration(issuer: TestIssuer, overrides: Partial<Issuer> = {}): Issuer {
  return {
    url: issuer.url,
    discoveryUrl: undefined,
    certificateAuthority: issuer.certificateAuthority,
    audiences: ['kubernetes'],
    rules: { requiredClaims: [], claimRules: [], userRules: [] },
    claimMappings: {
      username: { claim: 'sub', prefix: 'oidc:' },
      groups: { claim: 'groups', prefix: 'oidc:', isRequired: false },
      uid: undefined,
      extra: [],
    },
    sharesNames: false,
    ...overrides,
  }
}

export function configuration(...issuers: Issuer[]): AuthenticationConfiguration {
  return { issuers }
}

/** Signs a token for ada, audience `kubernetes`, valid for an hour from `now` (milliseconds). */
export async function signToken(
  issuer: { readonly url: string },
  key: SigningKey,
  {
    claims = {},
    header = {},
    now = Date.now(),
  }: {
    readonly claims?: Record<string, unknown>
    readonly header?: Record<string, unknown>
    readonly now?: number
  } = {},
): Promise<string> {
  const seconds = Math.floor(now / 1000)
  return new SignJWT({
    iss: issuer.url,
    aud: 'kubernetes',
    sub: 'ada',
    iat: seconds,
    exp: seconds + 3600,
    ...claims,
  })
    .setProtectedHeader({ alg: key.algorithm, kid: key.kid, ...header })
    .sign(key.privateKey)
}

/** Returns the cause of the 401, or `not refused`; fails the test for any other error. */
export async function refusalOf(authenticate: () => unknown): Promise<string> {
  try {
    await authenticate()
  } catch (error) {
    expect(error).toBeInstanceOf(StatusError)
    const refusal = error as StatusError
    expect({ code: refusal.code, message: refusal.message }).toEqual({
      code: 401,
      message: 'Unauthorized',
    })
    return (refusal.cause as Error).message
  }
  return 'not refused'
}

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalJWKSet, decodeJwt, jwtVerify, type JSONWebKeySet } from 'jose'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  writeDevelopmentCertificates,
  type DevelopmentCertificates,
} from '../../certs-dev/generate.ts'
import { startIdentityProvider, type IdentityProvider } from '../../dev/identity-provider.ts'

const grace = {
  subject: 'grace-1',
  preferredUsername: 'grace',
  email: 'grace@example.com',
  groups: ['developers', 'on-call'],
}
const heidi = { subject: 'heidi-1', preferredUsername: 'heidi', email: 'h@example.com', groups: [] }

let folder = ''
let certificates: DevelopmentCertificates
let provider: IdentityProvider
let dispatcher: Agent

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-idp-'))
  certificates = await writeDevelopmentCertificates(folder)
  provider = await startIdentityProvider({
    accounts: [grace, heidi],
    serving: certificates.serving,
    caFile: certificates.ca.certFile,
    idTokenSeconds: 600,
  })
  dispatcher = new Agent({ connect: { ca: await readFile(certificates.ca.certFile) } })
})

afterAll(async () => {
  await dispatcher.destroy()
  await provider.close()
  await rm(folder, { recursive: true })
})

async function get(path: string): Promise<unknown> {
  const { statusCode, body } = await request(provider.issuer + path, { dispatcher })
  expect(statusCode).toBe(200)
  return body.json()
}

describe('the development identity provider', () => {
  test('issues ID tokens that verify with the keys that discovery points to', async () => {
    const discovery = (await get('/.well-known/openid-configuration')) as {
      issuer: string
      jwks_uri: string
    }
    expect(discovery.issuer).toBe(provider.issuer)
    const jwks = (await get(new URL(discovery.jwks_uri).pathname)) as JSONWebKeySet
    expect(JSON.stringify(jwks)).not.toContain('"d"')
    const { payload, protectedHeader } = await jwtVerify(
      await provider.idToken('grace-1'),
      createLocalJWKSet(jwks),
      { issuer: provider.issuer, audience: provider.clientId, algorithms: ['RS256'] },
    )
    expect(protectedHeader.kid).toBe(jwks.keys[0]?.kid)
    expect(payload).toMatchObject({
      sub: 'grace-1',
      preferred_username: 'grace',
      email: 'grace@example.com',
      email_verified: true,
      groups: ['developers', 'on-call'],
    })
    expect(Number(payload.exp) - Number(payload.iat)).toBe(600)
  })

  test('issues any number of tokens, each for its own account', async () => {
    const subjects = ['grace-1', 'heidi-1', 'grace-1']
    const tokens = await Promise.all(subjects.map((subject) => provider.idToken(subject)))
    expect(tokens.map((token) => decodeJwt(token).sub)).toEqual(subjects)
  })

  test('refuses unknown accounts and clients', async () => {
    await expect(provider.idToken('mallory')).rejects.toThrow('account "mallory" does not exist')
    const { statusCode, body } = await request(`${provider.issuer}/token`, {
      dispatcher,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `grant_type=refresh_token&refresh_token=x&client_id=${provider.clientId}&client_secret=x`,
    })
    expect([statusCode, await body.json()]).toEqual([
      401,
      { error: 'invalid_client', error_description: 'client authentication failed' },
    ])
  })
})
